// Records what reaches a Node server, with the same lines as recorder.py.
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';

export class Record {
  constructor(path) { this.path = path; }
  write(kind, members) {
    const at = Number(process.hrtime.bigint()) / 1e9; // the same monotonic clock as in Python
    appendFileSync(this.path, `${JSON.stringify({ kind, at, ...members })}\n`);
  }
}

// An HTTP server on a free port that records each request and hands it to `handler`.
export async function serve(record, variant, handler) {
  const server = createServer((req, res) => {
    const headers = [];
    for (let i = 0; i < req.rawHeaders.length; i += 2) {
      headers.push([req.rawHeaders[i].toLowerCase(), req.rawHeaders[i + 1]]);
    }
    const about = { variant, method: req.method, target: req.url, headers };
    record.write('head', about);
    // The parser pushes the body into the stream, so every reader of the stream gets these bytes.
    const chunks = [];
    const push = req.push;
    req.push = function (chunk, ...rest) {
      if (chunk) chunks.push(Buffer.from(chunk));
      else record.write('request', { ...about, body: Buffer.concat(chunks).toString('base64') });
      return push.call(this, chunk, ...rest);
    };
    res.on('close', () => { if (!res.writableFinished) record.write('gone', about); });
    Promise.resolve(handler(req, res)).catch((error) => {
      console.error(error);
      if (!res.headersSent) res.writeHead(500);
      res.end();
    });
  });
  // A pooled connection must not be closed while a request is on its way.
  server.keepAliveTimeout = 60_000;
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${server.address().port}/mcp`;
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const text = (value, isError = false) => ({ content: [{ type: 'text', text: value }], ...(isError && { isError }) });

// The tools of server.py. `shape` makes an input schema of an object of zod types; `handle` hides
// how the two SDKs pass the request's signal and notifications to a tool.
export function addTools(server, z, shape, handle, called) {
  const tool = (name, hints, input, run) => server.registerTool(
    name, { description: name, inputSchema: shape(input), annotations: hints },
    (given, extra) => run(given, handle(extra)),
  );
  const reads = { readOnlyHint: true };
  tool('read_note', reads, { name: z.string() }, ({ name }) => {
    called('read_note', { name });
    return text(`note ${name}`);
  });
  tool('delete_db', { destructiveHint: true }, { name: z.string() }, ({ name }) => {
    called('delete_db', { name });
    return text(`deleted ${name}`);
  });
  tool('fail', reads, { name: z.string() }, ({ name }) => {
    called('fail', { name });
    throw new Error(`no such thing: ${name}`);
  });
  tool('progress', reads, { steps: z.number().int() }, async ({ steps }, { progress }) => {
    called('progress', { steps });
    for (let step = 1; step <= steps; step += 1) {
      await progress(step, steps);
      await sleep(10);
    }
    return text(`${steps} steps`);
  });
  tool('echo', reads, { text: z.string() }, ({ text: said }) => {
    called('echo', { length: [...said].length });
    return text(said);
  });
  tool('slow', reads, { name: z.string(), seconds: z.number() }, async ({ name, seconds }, { progress, signal }) => {
    called('slow', { name });
    const end = Date.now() + seconds * 1000;
    for (let step = 1; Date.now() < end; step += 1) {
      if (signal.aborted) {
        called('slow', { name }, 'cancelled');
        return text('cancelled', true);
      }
      await progress(step);
      await sleep(100);
    }
    called('slow', { name }, 'finished');
    return text(`slept ${name}`);
  });
}

// The resources of server.py. The SDK compares URIs in the form that its URL parser writes.
export function addResources(server, called) {
  for (const uri of ['file:///priv/a', 'file:///pub/a', 'file:///C:/x', 'memo://Insights', 'postgres://user@Host/db',
    'ui://Widget/x?y=1', 'note://notes/नोट', 'note://notes/한국어']) {
    server.registerResource(uri, new URL(uri).href, { description: uri }, async (asked) => {
      called('resource', { name: uri });
      return { contents: [{ uri: asked.href ?? String(asked), text: `content of ${uri}` }] };
    });
  }
}

export const variants = {
  'stateful-sse': { stateful: true, json: false },
  'stateful-json': { stateful: true, json: true },
  'stateless-sse': { stateful: false, json: false },
  'stateless-json': { stateful: false, json: true },
};

// Serves every variant, until its standard input ends. `make(variant, flags, called)` gives a handler.
export async function run(record, make) {
  const urls = {};
  for (const [variant, flags] of Object.entries(variants)) {
    const called = (tool, args, outcome = 'called') =>
      record.write('call', { variant, tool, outcome, arguments: args });
    urls[variant] = await serve(record, variant, make(flags, called));
  }
  console.log(JSON.stringify(urls));
  process.stdin.on('end', () => process.exit(0)).resume();
}
