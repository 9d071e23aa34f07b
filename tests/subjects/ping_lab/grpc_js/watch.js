// A bare grpc-js stream, with the library's defaults or with keepalive: a subject of the PING lab, and with --report of
// the tests that want to know what it read.
//
//   node watch.js                     no keepalive option at all
//   node watch.js --keepalive 1 0.5   interval and timeout, seconds
//   node watch.js --report            a line of JSON for each message and each end; TLS where there is MOCKCENTRAL_CA_FILE
//
// It subscribes, reads, and on any end waits --retry seconds and subscribes again.
"use strict";

const fs = require("fs");
const grpc = require("@grpc/grpc-js");

const METHOD = "/central.events.v1.watch/subscribe";

function readArguments(words) {
  const found = {options: {}, retry: 0.25, report: false};
  for (let at = 0; at < words.length; at++) {
    if (words[at] === "--keepalive") {
      found.options = {
        "grpc.keepalive_time_ms": Math.round(1000 * Number(words[++at])),
        "grpc.keepalive_timeout_ms": Math.round(1000 * Number(words[++at])),
        "grpc.keepalive_permit_without_calls": 1,
      };
    } else if (words[at] === "--retry") {
      found.retry = Number(words[++at]);
    } else if (words[at] === "--report") {
      found.report = true;  // besides: renew the token after each message, fail where there is no connection
    } else {
      console.error(`watch.js: what is ${words[at]}?`);
      process.exit(2);
    }
  }
  return found;
}

// Request{selfLink = 1, token = 2}, encoded by hand.
function subscription() {
  const parts = [];
  for (const [number, text] of [[1, process.env.MOCKCENTRAL_TOPIC], [2, "Bearer " + process.env.MOCKCENTRAL_TOKEN]]) {
    const data = Buffer.from(text);
    let size = data.length;
    const head = [number << 3 | 2];
    while (size > 127) {
      head.push(size & 127 | 128);
      size >>= 7;
    }
    parts.push(Buffer.from([...head, size]), data);
  }
  return Buffer.concat(parts);
}

const {options, retry, report} = readArguments(process.argv.slice(2));
const ca = process.env.MOCKCENTRAL_CA_FILE;
const credentials = ca ? grpc.credentials.createSsl(fs.readFileSync(ca)) : grpc.credentials.createInsecure();
const client = new grpc.Client(process.env.MOCKCENTRAL_ADDRESS, credentials, options);
const asIs = (bytes) => bytes;
const say = (line) => report && console.log(JSON.stringify({type: "progress", ...line}));

function watch() {
  const metadata = new grpc.Metadata({waitForReady: !report});
  metadata.set("authorization", "Bearer " + process.env.MOCKCENTRAL_TOKEN);
  metadata.set("x-axway-tenant-id", process.env.MOCKCENTRAL_TENANT);
  const call = client.makeBidiStreamRequest(METHOD, asIs, asIs, metadata, {});
  call.on("data", (bytes) => {
    say({step: "event", data: bytes.toString("base64")});
    if (report) call.write(subscription());
  });
  call.on("error", (error) => console.error("watch.js:", error.code, error.details));
  call.on("status", ({code, details: message, metadata: trailers}) => {
    const [details = Buffer.alloc(0)] = trailers.get("grpc-status-details-bin");
    say({step: "end", code, message, details: details.toString("base64")});
    setTimeout(watch, 1000 * retry);
  });
  call.write(subscription());
}

for (const name of ["SIGTERM", "SIGINT"]) process.on(name, () => process.exit(0));
watch();
