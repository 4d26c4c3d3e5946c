// An MCP server with @modelcontextprotocol/sdk 1.x behind Express, in four variants (see recorder.mjs).
//   node ts1.mjs NODE_MODULES_PARENT RECORD
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { addResources, addTools, Record, run } from './recorder.mjs';

const [parent, path] = process.argv.slice(2);
const load = createRequire(join(parent, 'package.json'));
const { McpServer } = load('@modelcontextprotocol/sdk/server/mcp.js');
const { StreamableHTTPServerTransport } = load('@modelcontextprotocol/sdk/server/streamableHttp.js');
const { localhostHostValidation } = load('@modelcontextprotocol/sdk/server/middleware/hostHeaderValidation.js');
const { isInitializeRequest } = load('@modelcontextprotocol/sdk/types.js');
const express = load('express');
const { z } = load('zod');

const handle = (extra) => ({
  signal: extra.signal,
  progress: async (progress, total) => {
    const progressToken = extra._meta?.progressToken;
    if (progressToken === undefined) return;
    await extra.sendNotification({ method: 'notifications/progress', params: { progressToken, progress, total } });
  },
});

await run(new Record(path), ({ stateful, json }, called) => {
  const fresh = () => {
    const server = new McpServer({ name: 'fixture', version: '1' });
    addTools(server, z, (input) => input, handle, called);
    addResources(server, called);
    return server;
  };
  const sessions = new Map();
  const app = express();
  app.use(localhostHostValidation());
  app.use(express.json({ limit: '8mb' }));
  app.all('/mcp', async (req, res) => {
    let transport;
    if (!stateful) {
      transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: json });
      await fresh().connect(transport);
    } else if (sessions.has(req.headers['mcp-session-id'])) {
      transport = sessions.get(req.headers['mcp-session-id']);
    } else if (req.method === 'POST' && [req.body].flat().some(isInitializeRequest)) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        enableJsonResponse: json,
        onsessioninitialized: (id) => sessions.set(id, transport),
        onsessionclosed: (id) => sessions.delete(id),
      });
      await fresh().connect(transport);
    } else {
      const known = req.headers['mcp-session-id'] === undefined;
      const error = { code: -32000, message: known ? 'no session' : 'session not found' };
      res.status(known ? 400 : 404).json({ jsonrpc: '2.0', error, id: null });
      return;
    }
    await transport.handleRequest(req, res, req.body);
  });
  return app;
});
