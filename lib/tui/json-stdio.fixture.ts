/** A program that uses stdin and stdout as the JSON mode does; started by the tests with what it is to do. */
import { stdinChunks, StdoutLines } from "./json-stdio.ts";

const [, , what, count] = process.argv;
let gone = false;
const output = new StdoutLines(() => {
  gone = true;
});

if (what === "write") {
  // More than a pipe holds, and then the end at once.
  for (let line = 0; line < Number(count) && !gone; line++)
    output.write(JSON.stringify({ line, pad: "x".repeat(100) }));
  await output.drained();
  process.exit(0);
} else if (what === "write-until-gone") {
  while (!gone) {
    output.write("x".repeat(1000));
    await output.drained();
  }
  process.exit(7);
} else {
  process.on("SIGTERM", () => process.exit(143));
  for await (const chunk of stdinChunks()) if (chunk.length === 0) throw new Error("an empty chunk");
  process.exit(0);
}
