//! Tests of heads that two servers could read differently. The gateway refuses them before it
//! parses them, with a JSON-RPC error and a line in its log.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::servers::{CALL, Reply, TestGateway, TestUpstream, Wire};

/// Returns a signed request whose head was changed by `change`, with the body `body`.
fn changed(wire: Wire, change: impl Fn(String) -> String, body: &str) -> Vec<u8> {
    let bytes = wire.bytes();
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    [change(head).as_bytes(), body.as_bytes()].concat()
}

/// A case: its name, the expected status and reason, and the change to the head of a valid request.
type Case = (&'static str, u16, &'static str, Box<dyn Fn(String) -> String>);

fn replaced(from: &'static str, to: &'static str) -> Box<dyn Fn(String) -> String> {
    Box::new(move |head| head.replacen(from, to, 1))
}

/// Returns a change that adds this line at the end of the head.
fn added(line: &'static str) -> Box<dyn Fn(String) -> String> {
    Box::new(move |head| format!("{}{line}\r\n\r\n", head.strip_suffix("\r\n").unwrap()))
}

fn cases() -> Vec<Case> {
    let length = format!("Content-Length: {}\r\n", CALL.len());
    let length: &'static str = length.leak();
    let twice = format!("{length}{length}").leak();
    let with_length = |value: String| {
        let line: &'static str = format!("Content-Length: {value}\r\n").leak();
        replaced(length, line)
    };
    let n = CALL.len();
    vec![
        ("two equal lengths", 400, "content_length", replaced(length, twice)),
        ("two lengths", 400, "content_length", added("Content-Length: 0")),
        ("lengths in one line", 400, "content_length", with_length(format!("{n}, {n}"))),
        ("a list of one", 400, "content_length", with_length(format!("{n},"))),
        ("a sign", 400, "content_length", with_length(format!("+{n}"))),
        ("a minus", 400, "content_length", with_length(format!("-{n}"))),
        ("hexadecimal", 400, "content_length", with_length(format!("{n:#x}"))),
        ("octal to some", 400, "content_length", with_length(format!("0{n}"))),
        ("a blank inside", 400, "content_length", with_length("7 5".into())),
        ("nothing", 400, "content_length", with_length(String::new())),
        ("over 63 bits", 400, "content_length", with_length("9223372036854775808".into())),
        ("over 64 bits", 400, "content_length", with_length("18446744073709551693".into())),
        ("upper case", 400, "content_length", added("CONTENT-LENGTH: 5")),
        ("length and coding", 400, "length_and_coding", added("Transfer-Encoding: chunked")),
        ("upper case", 400, "length_and_coding", added("TRANSFER-ENCODING: CHUNKED")),
        ("behind a tab", 400, "length_and_coding", added("Transfer-Encoding:\tchunked")),
        ("tabs around", 400, "length_and_coding", added("Transfer-Encoding: \t chunked \t")),
        ("identity", 400, "length_and_coding", added("Transfer-Encoding: identity")),
        ("no coding", 400, "length_and_coding", added("Transfer-Encoding:")),
        ("a blank before the colon", 400, "head_invalid", added("Transfer-Encoding : chunked")),
        ("a tab before the colon", 400, "head_invalid", added("Transfer-Encoding\t: chunked")),
        ("a folded coding", 400, "head_invalid", added("Transfer-Encoding:\r\n chunked")),
        ("a fold", 400, "head_invalid", added("X: a\r\n\tb")),
        ("a vertical tab", 400, "head_invalid", added("Transfer-Encoding: \u{b}chunked")),
        ("a NUL", 400, "head_invalid", added("X: a\0b")),
        ("a NUL in a name", 400, "head_invalid", added("X\0: a")),
        ("a carriage return", 400, "head_invalid", added("X: a\rContent-Length: 0")),
        ("two carriage returns", 400, "head_invalid", added("X: a\r")),
        ("a line that is none", 400, "head_invalid", added("bare")),
        ("a blank in a name", 400, "head_invalid", added("X A: b")),
        (
            "a first line that is folded",
            400,
            "head_invalid",
            replaced("HTTP/1.1\r\n", "HTTP/1.1\r\n "),
        ),
        ("a bare line feed", 400, "bare_line_feed", added("X: a\nY: b")),
        (
            "only bare line feeds",
            400,
            "bare_line_feed",
            Box::new(|head| head.replace("\r\n", "\n")),
        ),
        ("one at the request line", 400, "bare_line_feed", replaced("HTTP/1.1\r\n", "HTTP/1.1\n")),
        (
            "one at the end",
            400,
            "bare_line_feed",
            Box::new(|head| format!("{}\n", head.strip_suffix("\r\n").unwrap())),
        ),
        ("a line feed before it", 400, "bare_line_feed", Box::new(|head| format!("\n{head}"))),
        ("no version", 400, "head_invalid", replaced(" HTTP/1.1", "")),
        ("HTTP/1.2", 400, "head_invalid", replaced("HTTP/1.1", "HTTP/1.2")),
        ("HTTP/2.0", 400, "head_invalid", replaced("HTTP/1.1", "HTTP/2.0")),
        ("two blanks", 400, "head_invalid", replaced(" HTTP/1.1", "  HTTP/1.1")),
        ("a fragment", 400, "target", replaced("/mcp ", "/mcp#x ")),
        ("an empty fragment", 400, "target", replaced("/mcp ", "/mcp# ")),
        ("CONNECT", 405, "method", replaced("POST", "CONNECT")),
        ("CONNECT", 405, "method", replaced("POST /mcp", "CONNECT 127.0.0.1:80")),
        (
            "101 lines",
            431,
            "too_large",
            Box::new(|head| {
                let lines = head.matches("\r\n").count() - 2;
                let more: String = (0..101 - lines).map(|n| format!("X-{n}: a\r\n")).collect();
                format!("{}{more}\r\n", head.strip_suffix("\r\n").unwrap())
            }),
        ),
        (
            "1,000 lines",
            431,
            "too_large",
            Box::new(|head| {
                let more: String = (0..1000).map(|n| format!("X-{n}: a\r\n")).collect();
                format!("{}{more}\r\n", head.strip_suffix("\r\n").unwrap())
            }),
        ),
        (
            "100 KiB",
            431,
            "too_large",
            Box::new(|head| {
                format!(
                    "{}X: {}\r\n\r\n",
                    head.strip_suffix("\r\n").unwrap(),
                    "x".repeat(100 << 10)
                )
            }),
        ),
        (
            "a target of 100 KiB",
            414,
            "too_large",
            Box::new(|head| head.replacen("/mcp", &format!("/mcp?{}", "x".repeat(100 << 10)), 1)),
        ),
    ]
}

#[tokio::test]
async fn a_head_that_can_be_read_in_two_ways_is_refused_with_body_and_log_line() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let accepted = gateway.raw(&changed(gateway.signed(1, CALL), |head| head, CALL)).await;
    assert_eq!(accepted.status, 200, "{accepted:?}");
    let mut count = 1;
    for (what, status, reason, change) in cases() {
        // The gateway refuses the head, and never reads the second request behind it.
        let body = format!("{CALL}GET /mcp HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address);
        let reply = gateway.raw(&changed(gateway.signed(1, CALL), change, &body)).await;
        assert_eq!((reply.status, reply.reason().as_str()), (status, reason), "{what}: {reply:?}");
        assert_eq!(reply.json()["error"]["code"], -31401, "{what}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{what}");
        assert_eq!(reply.header("content-type"), Some("application/json"), "{what}");
        count += 1;
        let line = gateway.lines(count).await.pop().unwrap();
        assert_eq!(line.answer, Some(status), "{what}: {line:?}");
        assert_eq!(line.note.as_ref().unwrap().as_str(), reason, "{what}");
        assert!(line.peer.unwrap().as_str().starts_with("127.0.0.1:"), "{what}");
    }
    assert_eq!(gateway.lines(count).await.len(), count, "one line a request");
    assert_eq!(behind.got().len(), 1, "nothing of all that reached the upstream");
}

/// A head with the maximum number of lines is accepted, also if its bytes arrive one by one.
#[tokio::test]
async fn well_formed_request_passes_in_any_chunks() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let filled = |to: usize| {
        move |head: String| {
            let lines = head.matches("\r\n").count() - 2;
            let more: String = (0..to - lines).map(|n| format!("X-{n}: a\r\n")).collect();
            format!("{}{more}\r\n", head.strip_suffix("\r\n").unwrap())
        }
    };
    let reply = gateway.raw(&changed(gateway.signed(1, CALL), filled(80), CALL)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    // With the lines that the gateway adds, the head has too many for the upstream, which refuses
    // the request itself.
    let reply = gateway.raw(&changed(gateway.signed(1, CALL), filled(100), CALL)).await;
    let line = gateway.lines(2).await.pop().unwrap();
    assert_eq!((reply.status, line.upstream, line.hint), (431, Some(431), None));
    let empty_line = |head: String| format!("\r\n{head}");
    let reply = gateway.raw(&changed(gateway.signed(1, CALL), empty_line, CALL)).await;
    assert_eq!(reply.status, 200, "RFC 9112 section 2.2: {reply:?}");
    for piece in [1, 3, 700] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for part in gateway.signed(1, CALL).bytes().chunks(piece) {
            stream.write_all(part).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(Reply::read(&mut stream).await.status, 200, "{piece} at a time");
    }
    assert_eq!(behind.got().len(), 5);
    assert!(behind.got().iter().all(|got| got.body == CALL));
}

/// The gateway checks each request on a connection, even while earlier ones are unanswered. The
/// answers come in the order of the requests.
#[tokio::test]
async fn the_head_behind_others_is_checked_too_and_answered_behind_them() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let bad = changed(gateway.signed(1, CALL), |head| head.replacen("\r\n", "\n", 1), CALL);
    for chunked in [false, true] {
        let mut good = gateway.signed(1, CALL);
        if chunked {
            good = good.with("Transfer-Encoding", "chunked");
            good.body = format!("{:x}\r\n{CALL}\r\n0\r\n\r\n", CALL.len()).into_bytes();
        }
        let other = gateway.signed(1, CALL).bytes();
        let all = [&good.bytes()[..], &other, &bad, &gateway.signed(1, CALL).bytes()].concat();
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(&all).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let statuses: Vec<_> = text
            .match_indices("HTTP/1.1 ")
            .map(|(at, _)| text[at + 9..at + 12].to_owned())
            .collect();
        assert_eq!(statuses, ["200", "200", "400"], "{text}");
        assert!(text.contains("bare_line_feed"), "{text}");
    }
    assert_eq!(behind.got().len(), 4);
}

/// A chunked body is refused if servers could disagree about its end.
#[tokio::test]
async fn chunks_that_can_be_read_in_two_ways_are_refused() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let whole = |size: &str, end: &str| format!("{size}\r\n{CALL}{end}0\r\n\r\n");
    let size = format!("{:x}", CALL.len());
    let send = async |body: String| {
        let mut wire = gateway.signed(1, CALL).with("Transfer-Encoding", "chunked");
        wire.body = body.into_bytes();
        gateway.send(&wire).await
    };
    for (what, body) in [
        ("plain", whole(&size, "\r\n")),
        ("upper case", whole(&size.to_uppercase(), "\r\n")),
        ("zeros before it", whole(&format!("000{size}"), "\r\n")),
        ("an extension", whole(&format!("{size};a=\"b c\""), "\r\n")),
        ("trailers", format!("{size}\r\n{CALL}\r\n0\r\nX: y\r\nZ: w\r\n\r\n")),
    ] {
        let reply = send(body).await;
        assert_eq!(reply.status, 200, "{what}: {reply:?}");
    }
    let good = behind.got().len();
    assert_eq!(good, 5);
    for (what, body) in [
        ("a bare line feed behind a size", format!("{size}\n{CALL}\r\n0\r\n\r\n")),
        ("a bare line feed behind data", whole(&size, "\n")),
        ("a bare line feed in an extension", whole(&format!("{size};a\n"), "\r\n")),
        ("a carriage return in an extension", whole(&format!("{size};a\rb"), "\r\n")),
        ("a NUL in an extension", whole(&format!("{size};\0"), "\r\n")),
        ("a sign", whole(&format!("+{size}"), "\r\n")),
        ("0x", whole(&format!("0x{size}"), "\r\n")),
        ("a blank before it", whole(&format!(" {size}"), "\r\n")),
        ("no size", whole("", "\r\n")),
        ("17 digits", whole(&format!("{:0>17}", size), "\r\n")),
        ("too short", whole("1", "\r\n")),
        ("a bare line feed at the end", format!("{size}\r\n{CALL}\r\n0\r\n\n")),
        ("a bare line feed in trailers", format!("{size}\r\n{CALL}\r\n0\r\nX: y\nZ: w\r\n\r\n")),
        ("64 KiB of an extension", whole(&format!("{size};{}", "x".repeat(1 << 16)), "\r\n")),
        (
            "64 KiB of trailers",
            format!("{size}\r\n{CALL}\r\n0\r\nX: {}\r\n\r\n", "x".repeat(1 << 16)),
        ),
    ] {
        let reply = send(body).await;
        assert!(matches!(reply.status, 400), "{what}: {reply:?}");
        assert_eq!(reply.reason(), "body_broken", "{what}");
    }
    assert_eq!(behind.got().len(), good);
    // Other transfer codings are refused before the gateway reads the body.
    for (coding, status) in [
        ("gzip, chunked", 501),
        ("chunked, chunked", 501),
        ("chunked,chunked", 501),
        ("chunked, gzip", 400),
        ("xchunked", 400),
        ("chunked;q=1", 400),
        ("\"chunked\"", 400),
        ("identity", 400),
        ("", 400),
    ] {
        let mut wire = gateway.signed(1, CALL).with("Transfer-Encoding", coding);
        wire.body = whole(&size, "\r\n").into_bytes();
        let reply = gateway.send(&wire).await;
        assert_eq!(
            (reply.status, reply.reason().as_str()),
            (status, "transfer_coding"),
            "{coding}"
        );
    }
    assert_eq!(behind.got().len(), good);
}
