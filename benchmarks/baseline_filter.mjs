// The first half of a shuffle by node and `shuf`: keeps word, recognized and drawing of every line of *.ndjson in a
// folder, as lines of one text file.
//
//     node benchmarks/baseline_filter.mjs FOLDER OUT && shuf OUT -o SHUFFLED
import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";

const [folder, out] = process.argv.slice(2);
if (out === undefined) {
  console.error("usage: node baseline_filter.mjs FOLDER OUT");
  process.exit(2);
}

// Events rather than `for await`: a tenth to a fifth faster on node 20.
function keep(path, file) {
  const input = createReadStream(path);
  const lines = createInterface({ input, crlfDelay: Infinity });
  const resume = () => lines.resume();
  lines.on("line", (line) => {
    const { word, recognized, drawing } = JSON.parse(line);
    const isFull = !file.write(`${JSON.stringify({ word, recognized, drawing })}\n`);
    if (isFull && file.listenerCount("drain", resume) === 0) {
      lines.pause();
      file.once("drain", resume);
    }
  });
  return Promise.race([once(lines, "close"), once(input, "error").then(([error]) => Promise.reject(error))]);
}

const file = createWriteStream(out);
const names = (await readdir(folder)).filter((name) => name.endsWith(".ndjson")).sort();
for (const name of names) await keep(join(folder, name), file);
file.end();
await once(file, "finish");
