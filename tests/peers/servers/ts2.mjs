// An MCP server with @modelcontextprotocol/server 2.x and its Node adapter, in four variants (see
// recorder.mjs). All support 2026-07-28; the stateful variants also keep sessions for 2025-11-25.
//   node ts2.mjs NODE_MODULES_PARENT RECORD
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { addResources, addTools, Record, run } from './recorder.mjs';

const [parent, path] = process.argv.slice(2);
const load = createRequire(join(parent, 'package.json'));
const sdk = load('@modelcontextprotocol/server');
const { localhostHostValidation, localhostOriginValidation, toNodeHandler } = load('@modelcontextprotocol/node');
const { z } = load('zod');

const handle = ({ mcpReq }) => ({
  signal: mcpReq.signal,
  progress: async (progress, total) => {
    const progressToken = mcpReq._meta?.progressToken;
    if (progressToken === undefined) return;
    await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total } });
  },
});

await run(new Record(path), ({ stateful, json }, called) => {
  const fresh = () => {
    const server = new sdk.McpServer({ name: 'fixture', version: '1' });
    addTools(server, z, (input) => z.object(input), handle, called);
    addResources(server, called);
    return server;
  };
  const modern = sdk.createMcpHandler(fresh, {
    responseMode: json ? 'auto' : 'sse',
    legacy: stateful ? 'reject' : 'stateless',
  });
  const sessions = new Map();
  // Sessions of 2025-11-25 are routed here and not by the handler: the SDK leaves that to its user.
  const withSession = async (request) => {
    let transport = sessions.get(request.headers.get('mcp-session-id'));
    if (!transport) {
      if (request.headers.has('mcp-session-id')) return new Response(null, { status: 404 });
      transport = new sdk.WebStandardStreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        enableJsonResponse: json,
        onsessioninitialized: (id) => { sessions.set(id, transport); },
        onsessionclosed: (id) => { sessions.delete(id); },
      });
      await fresh().connect(transport);
    }
    return transport.handleRequest(request);
  };
  const handler = toNodeHandler({
    fetch: async (request, options) =>
      (stateful && await sdk.isLegacyRequest(request) ? withSession(request) : modern.fetch(request, options)),
  });
  return async (req, res) => {
    if (!localhostHostValidation()(req, res) || !localhostOriginValidation()(req, res)) return;
    if (req.url !== '/mcp') { res.writeHead(404).end(); return; }
    await handler(req, res);
  };
});
