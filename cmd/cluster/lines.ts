/** Splits a stream of bytes into lines. For output of the project's own programs: no limit on the length of a line. */

/** Calls `each` for every whole line, without its newline, and once for an unfinished last one. */
export async function eachLine(stream: ReadableStream<Uint8Array>, each: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    lines.forEach((line) => each(line));
  }
  if (rest !== "") each(rest);
}
