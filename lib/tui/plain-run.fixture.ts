/** The plain mode over streams, for tests: what it prints, what it complains of, how it ends. */
import { PassThrough, Writable } from "node:stream";
import type { FakeClient } from "./fake-client.fixture.ts";
import { runPlain } from "./plain.ts";

class Written extends Writable {
  text = "";
  override _write(chunk: Uint8Array | string, _encoding: string, done: () => void): void {
    this.text += String(chunk);
    done();
  }
}

export function start(client: FakeClient, giveUpMs = 30_000, input = new PassThrough()) {
  const output = new Written();
  const complaints: string[] = [];
  const complain = (line: string): void => void complaints.push(line);
  const code = runPlain(client, { input, output, unicode: true, idleLogoutSeconds: 0, giveUpMs, complain });
  return { input, output, code, complaints };
}

/** A whole run of bob's: signs in and types these lines. */
export async function runLines(client: FakeClient, lines: readonly string[]) {
  const { input, output, code, complaints } = start(client);
  input.end(["bob", "bob-password", ...lines, ""].join("\n"));
  return { code: await code, text: output.text, complaints };
}
