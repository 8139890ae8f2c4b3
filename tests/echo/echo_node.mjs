// Tells how node reads what it is sent: `echo_node.mjs PORT HEARD`. Each whole request is a line of HEARD.
import { openSync, writeSync } from "node:fs";
import { createServer } from "node:http";

const [port, file] = process.argv.slice(2);
const heard = openSync(file, "w");
const pairs = (raw) => raw.flatMap((name, at) => (at % 2 ? [] : [[name, raw[at + 1]]]));

const server = createServer({ maxHeaderSize: 65536, keepAliveTimeout: 120_000 }, (request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    const body = Buffer.concat(pieces);
    const at = request.url.indexOf("?");
    const path = at < 0 ? request.url : request.url.slice(0, at);
    const told = JSON.stringify({
      method: request.method,
      target: request.url,
      path: decodeURIComponent(path),
      query: at < 0 ? "" : request.url.slice(at + 1),
      fields: pairs(request.rawHeaders),
      body: body.toString("hex"),
      trailers: pairs(request.rawTrailers),
    });
    writeSync(heard, `${request.method} ${request.url}\n`, null, "latin1");
    response.setHeader("content-length", Buffer.byteLength(told));
    response.end(told);
  });
});
server.maxHeadersCount = 0;
server.listen({ port: Number(port), host: "127.0.0.1", backlog: 512 }, () => console.log("ready"));
