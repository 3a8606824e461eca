// Node, without a library.  Node cannot send to a Unix datagram socket, so systemd-notify does it: one short process
// per beat, which is fine once a second.  A service that speaks HTTP anyway is better heard with source = "http".
//
//   [services.worker]
//   command = ["node", "examples/heartbeat/worker.js"]
//   ready = { notify = true }
//   heartbeat = { source = "notify", interval = "2s" }
"use strict";
const { execFile } = require("node:child_process");

function notify(...fields) {
  if (process.env.NOTIFY_SOCKET) execFile("systemd-notify", fields, () => {}); // a failure is no reason to die
}

// WATCHDOG_USEC is twice the interval at which a beat is expected.
const interval = Number(process.env.WATCHDOG_USEC || 0) / 2000; // ms
let progress = false;

// The timer belongs to the event loop: while something blocks the loop, there is no beat.  And a loop that turns while
// nothing gets done any more is silent, too.
if (interval > 0) {
  setInterval(() => {
    if (progress) notify("WATCHDOG=1");
    progress = false;
  }, interval).unref();
}

async function work() {
  for (let job = 1; ; job++) {
    await new Promise((done) => setTimeout(done, 100)); // the job
    progress = true;
    if (job % 50 === 0) console.log(`${job} jobs done`);
  }
}

notify("--ready");
work();
