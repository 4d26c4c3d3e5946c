//! Fixtures for the tests of the audit log: a clock that the test sets, keys, requests that they
//! signed, and a log in a temporary folder with its audit.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpid::audit::auditor::{self, Auditor, AuditorInputs, Report};
use mcpid::audit::entry_judge::{AuditorTrust, EntryJudge};
use mcpid::audit::note::NoteKey;
use mcpid::audit::{
    Evidence, Folder, JudgedRequest, Log, LogError, LogSettings, RecordedRefusal, Recorder,
};
pub(crate) use mcpid::block_on as wait;
use mcpid::clock::{Clock, Timestamp};
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::key::{SecretKey, Sign as _};
use mcpid::mcp::body::Scope;
use mcpid::message::target::{Origin, Origins};
use mcpid::message::{Head, RequestTarget};
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer};
use mcpid::verify::{ReplayCheck, Verifier};
use rand::rngs::SysRng;
use serde_json::{Value, json};

/// 2026-11-23T10:00:00Z.
pub(crate) const START: i64 = 1_795_392_000 + 36_000;
pub(crate) const NAME: &str = "example.com/audit";

#[derive(Debug)]
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    pub(crate) fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) fn key(number: u8) -> SecretKey {
    let mut seed = *b"0 seed that the audit tests keep";
    seed[0] = number;
    SecretKey::from_seed(&seed)
}

/// Returns the trust file's entry for key `number`, with further members in `mcpid`.
pub(crate) fn entry(number: u8, mut ours: Value) -> Value {
    ours["name"] = json!(format!("key {number}"));
    let x = URL_SAFE_NO_PAD.encode(key(number).public().as_bytes());
    json!({"kty": "OKP", "crv": "Ed25519", "x": x, "mcpid": ours})
}

pub(crate) fn registry(entries: Vec<Value>) -> Arc<Registry> {
    let file = TrustFile::parse(json!({"keys": entries}).to_string().as_bytes()).unwrap();
    Arc::new(Registry::merge([file]))
}

/// A signed request, as the fixtures make it.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Call {
    pub(crate) fn head(&self) -> Head<'_> {
        let mut head =
            Head::new(self.method.as_str(), RequestTarget::Origin("/mcp?tenant=a%2fb".into()))
                .unwrap();
        for (name, value) in &self.fields {
            head.push(name.as_str(), value.as_bytes()).unwrap();
        }
        head
    }
}

pub(crate) fn origins() -> Origins {
    Origins::new([Origin::parse("https://mcp.example.com").unwrap()])
}

pub(crate) fn body(n: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{n},"method":"tools/call","params":{{"name":"pay","arguments":{{"to":"bob","amount":{n},"password":"hunter2"}}}}}}"#
    )
}

/// Returns a request with an access token that has not expired, signed at this time by the key of
/// this number.
pub(crate) fn call(signer: u8, at: i64, body: &str, more: &[(&str, &str)]) -> Call {
    let mut fields = vec![
        ("host".to_owned(), "mcp.example.com".to_owned()),
        ("content-type".to_owned(), "application/json".to_owned()),
        ("authorization".to_owned(), "Bearer live-token".to_owned()),
        ("cookie".to_owned(), "session=live-cookie".to_owned()),
        ("dpop".to_owned(), "live-dpop".to_owned()),
        ("x-other".to_owned(), "live-other".to_owned()),
    ];
    fields.extend(more.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
    let mut call = Call { method: "POST".to_owned(), fields, body: body.as_bytes().to_vec() };
    let signer = Signer::new(Arc::new(key(signer)), &Profile::mcp()).unwrap();
    sign(&mut call, &signer, at);
    call
}

pub(crate) fn sign(call: &mut Call, signer: &Signer, at: i64) {
    let nonce = Nonce::generate(&mut SysRng).unwrap();
    let at = Timestamp::from_unix(at);
    let signed = signer.sign(&call.head(), &origins(), &call.body, at, &nonce).unwrap();
    let new: Vec<_> = signed.headers().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    call.fields.retain(|(name, _)| !new.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
    call.fields.extend(new);
}

/// A log in a temporary folder.
pub(crate) struct LogFixture {
    /// The temporary folder, which is removed with the fixture.
    _folder: Option<tempfile::TempDir>,
    path: PathBuf,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) log_key: NoteKey,
    pub(crate) registry: Arc<Registry>,
}

impl LogFixture {
    /// Creates a log without entries, in a temporary folder.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fixture = LogFixture::at(folder.path().join("log"), NAME);
        LogFixture { _folder: Some(folder), ..fixture }
    }

    /// Creates a log in a folder that is not removed with the fixture.
    pub(crate) fn at(path: PathBuf, name: &str) -> Self {
        let now = Timestamp::from_unix(START);
        let log_key = Folder::init(&path, name, &key(200), now).unwrap();
        let registry = registry(vec![entry(1, json!({})), entry(2, json!({}))]);
        let clock = Arc::new(HandClock(AtomicI64::new(START)));
        LogFixture { _folder: None, path, clock, log_key, registry }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    pub(crate) fn files(&self) -> Folder {
        Folder::at(self.path()).unwrap()
    }

    pub(crate) fn try_open(&self, settings: LogSettings) -> Result<Log, LogError> {
        Log::open(self.files(), settings, self.clock.clone())
    }

    pub(crate) fn open(&self) -> Log {
        self.try_open(LogSettings::default()).unwrap()
    }

    pub(crate) fn verifier(&self) -> Verifier {
        self.verifier_by(Profile::mcp())
    }

    /// Returns a verifier that works by this profile, for an MCP endpoint.
    pub(crate) fn verifier_by(&self, profile: Profile) -> Verifier {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let (registry, replay) = (self.registry.clone(), ReplayCheck::Unchecked);
        Verifier::new(profile, registry, origins(), clock, replay).with_scope(Scope::Endpoint)
    }

    /// Writes the entry of a request with the verdict of the fixture's verifier, as the middleware
    /// does.
    pub(crate) fn record(&self, recorder: &Recorder, call: &Call) -> Result<(), LogError> {
        self.record_by(recorder, call, &self.verifier())
    }

    /// Writes the entry of a request with the verdict of this verifier.
    pub(crate) fn record_by(
        &self,
        recorder: &Recorder,
        call: &Call,
        verifier: &Verifier,
    ) -> Result<(), LogError> {
        let head = call.head();
        let judged =
            JudgedRequest::new(&head, verifier, self.clock.now()).with_body(Some(&call.body));
        let held = match verifier.judge_head(&head) {
            Ok(held) => held,
            Err(no) => {
                let (code, step) = (no.code().as_str(), Some(no.step().number()));
                let mut because = RecordedRefusal::default();
                (because.code, because.step) = (code, step);
                return wait(recorder.rejected(&judged, None, because, no.statement(), false));
            }
        };
        let evidence = Evidence::of(verifier.profile(), &head, held.signatures());
        match verifier.judge_body(held, &call.body) {
            Ok(_) => wait(recorder.verified(&judged, &evidence)),
            Err(no) => {
                let mut because = RecordedRefusal::default();
                (because.code, because.step) = (no.code().as_str(), Some(no.step().number()));
                wait(recorder.rejected(&judged, Some(&evidence), because, no.statement(), false))
            }
        }
    }

    /// Appends the entries of `count` verified requests, a second apart, and closes the log.
    pub(crate) fn fill(&self, count: u64, settings: LogSettings) {
        let recorder = Recorder::new(self.try_open(settings).unwrap());
        for n in 0..count {
            self.clock.forward(1);
            let call = call(1, self.clock.now().unix(), &body(n), &[]);
            self.record(&recorder, &call).unwrap();
        }
    }

    /// Audits the log with its public key and these kept checkpoints.
    pub(crate) fn audit(&self, kept: &[Vec<u8>]) -> Report {
        let inputs = AuditorInputs {
            log_key: Some(self.log_key.clone()),
            kept: kept.to_vec(),
            ..AuditorInputs::default()
        };
        audit(&self.path(), &inputs, self.trust())
    }

    /// Audits the log for an auditor with this trust.
    pub(crate) fn audit_by(&self, trust: AuditorTrust) -> Report {
        let inputs =
            AuditorInputs { log_key: Some(self.log_key.clone()), ..AuditorInputs::default() };
        audit(&self.path(), &inputs, trust)
    }

    /// Returns the trust of an auditor who trusts the same keys as the server that wrote the log.
    pub(crate) fn trust(&self) -> AuditorTrust {
        AuditorTrust::pinned(self.registry.clone())
    }

    pub(crate) fn checkpoint(&self) -> Vec<u8> {
        fs::read(self.path().join("checkpoint")).unwrap()
    }

    /// Returns the lines of all entries.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for path in self.segments() {
            lines.extend(fs::read_to_string(path).unwrap().lines().map(str::to_owned));
        }
        lines
    }

    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> = fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("entries-"))
            .collect();
        paths.sort();
        paths
    }

    pub(crate) fn only_segment(&self) -> PathBuf {
        let paths = self.segments();
        assert_eq!(paths.len(), 1);
        paths[0].clone()
    }
}

/// Audits the whole log at `path`.
pub(crate) fn audit(path: &Path, inputs: &AuditorInputs, trust: AuditorTrust) -> Report {
    audit_folder(&Folder::at(path).unwrap(), inputs, trust)
}

/// Audits a folder together with its archives.
pub(crate) fn audit_folder(folder: &Folder, inputs: &AuditorInputs, trust: AuditorTrust) -> Report {
    let mut auditor = Auditor::new(folder, inputs).unwrap();
    let mut judge = EntryJudge::new(trust);
    for line in auditor::lines(folder).unwrap() {
        auditor.take(judge.judge_line(&line.unwrap()));
    }
    auditor.finish().unwrap()
}
