#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Returns by how many seconds wall time is ahead: CLOCK_BASE, plus the number in the file CLOCK_AHEAD. */
static long base;
static volatile long *ahead;

__attribute__((constructor)) static void begin(void) {
    if (getenv("CLOCK_BASE")) base = atol(getenv("CLOCK_BASE"));
    if (!getenv("CLOCK_AHEAD")) return;
    int file = open(getenv("CLOCK_AHEAD"), O_RDONLY);
    ahead = mmap(0, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    long done = syscall(SYS_gettimeofday, now, 0);
    now->tv_sec += base;
    if (ahead && ahead != MAP_FAILED) now->tv_sec += *ahead;
    return (int)done;
}

/* OpenSSL checks certificates with this time. */
time_t time(time_t *kept) {
    struct timeval now;
    gettimeofday(&now, 0);
    if (kept) *kept = now.tv_sec;
    return now.tv_sec;
}
