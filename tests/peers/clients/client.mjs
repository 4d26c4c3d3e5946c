// The TypeScript SDK 1.x and 2.x as clients for the cases: the jobs and answers of client.py, with
// "sdk": 1 or 2 in each job.
//   node client.mjs NODE_MODULES_PARENT
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const load = createRequire(join(process.argv[2], 'package.json'));
const one = {
  ...load('@modelcontextprotocol/sdk/client/index.js'),
  ...load('@modelcontextprotocol/sdk/client/streamableHttp.js'),
  ...load('@modelcontextprotocol/sdk/client/stdio.js'),
  ...load('@modelcontextprotocol/sdk/types.js'),
};
const two = { ...load('@modelcontextprotocol/client'), ...load('@modelcontextprotocol/client/stdio') };

const LONG = 'пять ☃ 字 𝄞 '.repeat(4546);

// An OAuth store that keeps nothing. A request for a login is an error.
const provider = () => ({
  redirectUrl: 'http://127.0.0.1:9/callback',
  clientMetadata: { client_name: 'fixture', redirect_uris: ['http://127.0.0.1:9/callback'] },
  clientInformation: () => undefined,
  saveClientInformation: () => {},
  tokens: () => undefined,
  saveTokens: () => {},
  redirectToAuthorization: (to) => { throw new Error(`a login was asked for: ${to}`); },
  saveCodeVerifier: () => {},
  codeVerifier: () => 'none',
});

async function connect(job) {
  const sdk = job.sdk === 2 ? two : one;
  const options = job.sdk === 2 ? { versionNegotiation: { mode: mode(job) } } : {};
  const forms = 'approve' in job;
  if (forms) options.capabilities = { elicitation: {} };
  const client = new sdk.Client({ name: 'fixture', version: '1' }, options);
  if (forms) {
    const what = job.sdk === 2 ? 'elicitation/create' : one.ElicitRequestSchema;
    client.setRequestHandler(what, () => ({ action: 'accept', content: { approve: job.approve } }));
  }
  let transport;
  if (job.stdio) {
    const [command, ...args] = job.stdio;
    const stderr = job.log ? openSync(job.log, 'a') : 'ignore';
    transport = new sdk.StdioClientTransport({ command, args, env: job.env, stderr });
  } else {
    transport = new sdk.StreamableHTTPClientTransport(new URL(job.url), {
      requestInit: { headers: job.headers ?? {} },
      ...(job.oauth && { authProvider: provider() }),
    });
  }
  await client.connect(transport);
  return {
    protocol: job.sdk === 2 ? client.getNegotiatedProtocolVersion() : transport.protocolVersion ?? null,
    tools: async () => Object.fromEntries((await client.listTools()).tools.map(
      ({ name, annotations: a }) => [name, [a.readOnlyHint ?? null, a.destructiveHint ?? null]],
    )),
    call: async (name, args, options = {}) => {
      const params = { name, arguments: args };
      const result = job.sdk === 2
        ? await client.callTool(params, options)
        : await client.callTool(params, undefined, options);
      return { text: result.content.map((c) => c.text).join(''), failed: Boolean(result.isError) };
    },
    close: async () => {
      if (transport.terminateSession) await transport.terminateSession().catch(() => {});
      await client.close();
    },
  };
}

function mode({ mode: wanted = 'auto' }) {
  return wanted === 'auto' || wanted === 'legacy' ? wanted : { pin: wanted };
}

async function walk(job) {
  const { token } = job;
  const session = await connect(job);
  try {
    const steps = [];
    const onprogress = ({ progress, total }) => steps.push([progress, total]);
    const found = { protocol: session.protocol, tools: await session.tools() };
    for (const tool of ['read_note', 'delete_db', 'fail']) {
      found[tool] = await session.call(tool, { name: token });
    }
    found.progress = await session.call('progress', { steps: 3 }, { onprogress });
    found.steps = steps;
    const said = await session.call('echo', { text: LONG });
    found.echo = said.text === LONG && !said.failed;
    const words = Array.from({ length: 20 }, (_, i) => `${token} ${i}`);
    const answers = await Promise.all(words.map((text) => session.call('echo', { text })));
    found.parallel = answers.every(({ text }, i) => text === words[i]);
    return { ok: found };
  } finally {
    await session.close();
  }
}

async function attempt(job) {
  let stage = 'connect';
  let session;
  try {
    session = await connect(job);
    stage = 'list';
    const tools = await session.tools();
    stage = 'call';
    const answer = await session.call(job.tool ?? 'read_note', { name: job.token });
    if (answer.failed) return { stage, shown: answer.text };
    return { ok: { protocol: session.protocol, tools: Object.keys(tools).sort(), answer: answer.text } };
  } catch (error) {
    return { stage, shown: shown(error) };
  } finally {
    await session?.close().catch(() => {});
  }
}

async function abandon(job) {
  const session = await connect(job);
  const controller = new AbortController();
  let progress = 0;
  const onprogress = () => { progress += 1; if (progress === 2) controller.abort('enough'); };
  await session.call('slow', { name: job.token, seconds: 120 }, { onprogress, signal: controller.signal })
    .catch(() => {});
  await sleep((job.stay ?? 0) * 1000);
  await session.close();
  return { ok: { progress } };
}

function shown(error) {
  const texts = [];
  for (let e = error; e; e = e.cause) texts.push(`${e.name ?? typeof e}: ${e.message ?? e}`);
  return texts.join('\n');
}

const ways = { walk, try: attempt, abandon };

for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  const late = new AbortController();
  const seconds = job.timeout ?? 150;
  const answer = await Promise.race([
    ways[job.do](job).catch((error) => { console.error(error); return { error: shown(error) }; }),
    sleep(seconds * 1000, { error: `no answer within ${seconds} s` }, { signal: late.signal }),
  ]);
  late.abort();
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
