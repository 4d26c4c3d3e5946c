//! Fuzzes the reader of request lines. An accepted line is written back as a line that reads as the
//! same request.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpid::message::line;
use mcpid::message::target::Origins;

fuzz_target!(|data: &[u8]| {
    let _ = mcpid::message::detect(data);
    let Ok(request) = line::parse(data) else { return };
    let none = Origins::default();
    let Ok(target) = none.resolve(&request.head) else { return };
    let uri = target.target_uri();
    let text = line::write(&request.head, &uri, request.body.bytes(), request.time)
        .expect("JSON text is UTF-8");
    let again = line::parse(text.as_bytes()).expect("what was written can be read");
    assert_eq!(again.head.method(), request.head.method());
    assert_eq!(again.head.fields(), request.head.fields());
    assert_eq!(again.body.bytes(), request.body.bytes());
    assert_eq!(again.time, request.time);
});
