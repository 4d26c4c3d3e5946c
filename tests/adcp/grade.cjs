// Runs the grader of AdCP's SDK against a server, and prints its report as JSON.
//
//     node grade.cjs FOLDER_OF_NPM URL SECONDS_AHEAD
//
// The server's nonce store in memory refuses what was signed before its start could be a minute ago, so
// the signatures are made some seconds ahead of the clock, which the profile allows.
const [, , folder, url, ahead] = process.argv;
const clock = Date.now.bind(Date);
Date.now = () => clock() + 1000 * Number(ahead);
const { gradeRequestSigning } = require(`${folder}/node_modules/@adcp/sdk/dist/lib/testing/storyboard/request-signing/index.js`);

gradeRequestSigning(url, {
  transport: 'mcp', // one endpoint, and each vector as a tools/call
  allowPrivateIp: true,
  replayProbePairs: 1,
  rateAbuseCap: 8,
  timeoutMs: 120000,
}).then(
  (report) => console.log(JSON.stringify(report)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
