// Two npm implementations behind one interface: a line of JSON in, a line of JSON out.
//   node peer.mjs NODE_MODULES_PARENT
// {"do":"sign","peer":P,"request":R,"components":[…],"parameters":{…},"label":L,"secret":PEM}
//     → {"headers":{"Signature-Input":…,"Signature":…}}
// {"do":"verify","peer":P,"request":R,"label":L,"public":PEM,"keyid":K} → {"accepted":true|false,"why":…}
import { createRequire } from 'node:module';
import { createHash, createPrivateKey, createPublicKey, webcrypto as nodeCrypto } from 'node:crypto';
import { createInterface } from 'node:readline';
import { join } from 'node:path';

globalThis.crypto ??= nodeCrypto; // node 18 has no global crypto
const load = createRequire(join(process.argv[2], 'package.json'));
const signatures = load('http-message-signatures');
const sig = load('http-message-sig');

// Components come as serialised identifiers without the quotes: content-digest;key="sha-256".
function component(text) {
  const [name, ...parameters] = text.split(';');
  if (parameters.length === 0) return name;
  const values = Object.fromEntries(parameters.map((p) => {
    const [key, value] = p.split('=');
    return [key, value === undefined ? true : JSON.parse(value)];
  }));
  return sig.component(name, values);
}

// The RFC 9421 name of a key's algorithm.
function algorithm(key) {
  return key.asymmetricKeyType === 'ec' ? 'ecdsa-p256-sha256' : 'ed25519';
}

function joined(headers) {
  const out = {};
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    out[key] = key in out ? `${out[key]}, ${value}` : value;
  }
  return out;
}

const peers = {
  'npm http-message-signatures': {
    async sign({ request, components, parameters, label, secret }) {
      const values = { ...parameters };
      for (const name of ['created', 'expires']) {
        if (values[name] !== undefined) values[name] = new Date(values[name] * 1000);
      }
      const { keyid, alg } = parameters;
      const secretKey = createPrivateKey(secret);
      const key = signatures.createSigner(secretKey, algorithm(secretKey), keyid);
      if (alg === undefined) delete key.alg;
      const signed = await signatures.httpbis.signMessage(
        { key, name: label, fields: components, params: Object.keys(parameters), paramValues: values },
        { method: request.method, url: request.url, headers: joined(request.headers) },
      );
      return { 'Signature-Input': signed.headers['Signature-Input'], Signature: signed.headers.Signature };
    },
    async verify({ request, keyid, public: pem, required }) {
      const publicKey = createPublicKey(pem);
      const verify = signatures.createVerifier(publicKey, algorithm(publicKey));
      const result = await signatures.httpbis.verifyMessage(
        {
          requiredParams: ['created', 'keyid'],
          requiredFields: required,
          tolerance: 5,
          async keyLookup(parameters) {
            return parameters.keyid === keyid ? { id: keyid, algs: [algorithm(publicKey)], verify } : null;
          },
        },
        { method: request.method, url: request.url, headers: joined(request.headers) },
      );
      // null means that no signature was judged. The tests count that as a refusal.
      if (result !== true) throw new Error(`verifyMessage said ${result}`);
    },
  },
  'npm http-message-sig': {
    async sign({ request, components, parameters, label, secret }) {
      const der = createPrivateKey(secret).export({ type: 'pkcs8', format: 'der' });
      const key = await crypto.subtle.importKey('pkcs8', der, 'Ed25519', false, ['sign']);
      const fields = await sig.createSignature(descriptor(request), {
        label, components: components.map(component), parameters, signer: sig.webcrypto.signer(key),
      });
      const { signature, 'signature-input': input } = joined(request.headers);
      const before = new Headers(signature === undefined ? {} : { signature, 'signature-input': input });
      const headers = sig.appendSignature(before, fields);
      return { 'Signature-Input': headers.get('signature-input'), Signature: headers.get('signature') };
    },
    async verify({ request, keyid, label, public: pem }) {
      const der = createPublicKey(pem).export({ type: 'spki', format: 'der' });
      const key = await crypto.subtle.importKey('spki', der, 'Ed25519', false, ['verify']);
      await sig.verifySignature(descriptor(request), {
        label,
        policy: {
          algorithms: ['ed25519'],
          requiredComponents: ['@method', '@target-uri', 'content-digest'],
          requiredParameters: ['created', 'keyid'],
          maxAge: 300, clockSkew: 5,
        },
        resolveVerifier(candidate) {
          if (candidate.parameters.keyid !== keyid) throw new Error('unknown keyid');
          return sig.webcrypto.verifier(key);
        },
      });
    },
  },
};

function descriptor(request) {
  return {
    kind: 'request', method: request.method, targetUri: request.url,
    fields: request.headers.map(([name, value]) => ({ name, value })),
  };
}

// Neither library reads the body. A server that uses one of them compares the digest itself.
function digestHolds(request) {
  if (joined(request.headers)['content-digest'] === undefined) return request.body === '';
  const hash = createHash('sha256').update(Buffer.from(request.body, 'base64')).digest('base64');
  return joined(request.headers)['content-digest'] === `sha-256=:${hash}:`;
}

async function answer(task) {
  const peer = peers[task.peer];
  if (task.do === 'sign') return { headers: await peer.sign(task) };
  try {
    await peer.verify(task);
  } catch (error) {
    return { accepted: false, why: `${error.code ?? error.name}: ${error.message}` };
  }
  return digestHolds(task.request) ? { accepted: true } : { accepted: false, why: 'digest differs' };
}

for await (const line of createInterface({ input: process.stdin })) {
  let out;
  try {
    out = await answer(JSON.parse(line));
  } catch (error) {
    out = { error: String(error.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(out)}\n`);
}
