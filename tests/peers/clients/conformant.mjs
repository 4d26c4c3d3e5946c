// A client for the official suite's client scenarios. It lists and calls all tools, prompts and resources,
// with arguments made from the schemas. The suite appends the URL of its server.
//   node conformant.mjs NODE_MODULES_PARENT [BRIDGE…] URL
// With a BRIDGE, a command that takes the URL as its last argument, the client uses that command on stdio.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [parent, ...rest] = process.argv.slice(2);
const [url, bridge] = [rest.at(-1), rest.slice(0, -1)];
const load = createRequire(join(parent, 'package.json'));
const sdk = { ...load('@modelcontextprotocol/client'), ...load('@modelcontextprotocol/client/stdio') };

const version = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION;
const mode = !version ? 'auto' : version >= '2026-07-28' ? { pin: version } : 'legacy';
const client = new sdk.Client(
  { name: 'fixture', version: '1' },
  { capabilities: { elicitation: { form: { applyDefaults: true } } }, versionNegotiation: { mode } },
);
client.setRequestHandler('elicitation/create', async () => ({ action: 'accept', content: {} }));

const transport = bridge.length
  ? new sdk.StdioClientTransport({ command: bridge[0], args: [...bridge.slice(1), url], env: process.env })
  : new sdk.StreamableHTTPClientTransport(new URL(url));

const value = (schema) => {
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  return { string: 'text', integer: 5, number: 3, boolean: true, array: [], object: {} }[schema.type] ?? 'text';
};
const values = (schema) =>
  Object.fromEntries(Object.entries(schema?.properties ?? {}).map(([name, inner]) => [name, value(inner)]));

// After a failed call, the other calls are still made.
const attempt = async (what, act) => {
  try {
    return await act();
  } catch (error) {
    console.error(`${what}: ${error.message}`);
    return undefined;
  }
};

await client.connect(transport);
const { tools } = (await attempt('tools', () => client.listTools())) ?? { tools: [] };
// Some scenarios state the calls to make, and one needs a schema sent back as it was listed.
const { toolCalls } = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const listed = tools.find(({ name }) => name === 'json_schema_2020_12_tool')?.inputSchema;
const calls = toolCalls ?? tools.map(({ name, inputSchema }) => ({
  name,
  arguments: name === 'json_schema_echo' ? { schema: listed } : values(inputSchema),
}));
for (const call of calls) await attempt(call.name, () => client.callTool(call));
const can = client.getServerCapabilities() ?? {};
if (can.prompts) {
  const { prompts } = (await attempt('prompts', () => client.listPrompts())) ?? { prompts: [] };
  for (const { name } of prompts) await attempt(name, () => client.getPrompt({ name }));
}
if (can.resources) {
  const { resources } = (await attempt('resources', () => client.listResources())) ?? { resources: [] };
  for (const { uri } of resources) await attempt(uri, () => client.readResource({ uri }));
}
await client.close();
