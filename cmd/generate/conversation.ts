/**
 * A short conversation in bytes for `lib/protocol/README.md`, from the golden frames in `fixtures/wire/frames`. Reads
 * those files, writes nothing.
 */
import { readFileSync } from "node:fs";
import { assert } from "../../lib/base/assert.ts";

/** Who says what, in order. */
const conversation: readonly (readonly [from: "client" | "server", frame: string, remark: string])[] = [
  ["client", "hello", "the first frame on the connection"],
  ["server", "welcome", "who answers, of which cluster, and where the other replicas are"],
  ["client", "openSession", "a new session: `create` is true, and seq 0 is used up"],
  ["server", "sessionOpened", "registered in the log; nobody is logged in"],
  ["client", "createAccount", "seq 1"],
  ["server", "created", "on three disks"],
  ["client", "login", "seq 2; the ops below 2 are acknowledged, so `oldest` is 2"],
  ["server", "loggedIn", "no messages are waiting"],
  ["client", "send", "seq 3"],
  ["server", "sent", "the message's id is the op's id: this session and seq 3"],
  [
    "client",
    "send",
    "the same frame again, as after a lost connection: it changes nothing, and is answered by the same result with `duplicate` true",
  ],
  ["client", "ping", "any time, from either side"],
  ["server", "pong", ""],
  ["client", "goodbye", "then it closes; the session stays in the log"],
];

export function conversationText(folder: string): string {
  const lines: string[] = [];
  for (const [from, frame, remark] of conversation) {
    const { bytes } = JSON.parse(readFileSync(`${folder}/${frame}.json`, "utf8")) as { bytes: string };
    lines.push(
      `**${from} → ${frame}**${remark === "" ? "" : `: ${remark}`}`,
      "",
      "```",
      diagnostic(bytes),
      "",
      ...wrap(bytes),
      "```",
      "",
    );
  }
  return lines.join("\n").trimEnd();
}

/** The prefix on its own, then 32 bytes a line. */
const wrap = (hex: string): string[] => [hex.slice(0, 8), ...(hex.slice(8).match(/.{1,64}/g) ?? [])];

/** The frame's content in CBOR's diagnostic notation (RFC 8949, section 8). */
function diagnostic(hex: string): string {
  const bytes = Uint8Array.fromHex(hex);
  const data = new DataView(bytes.buffer);
  let at = 4;
  const argument = (info: number): number => {
    if (info < 24) return info;
    const width = 1 << (info - 24);
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + data.getUint8(at++);
    return value;
  };
  const take = (length: number): Uint8Array => bytes.subarray(at, (at += length));
  const item = (): string => {
    const head = data.getUint8(at++);
    if (head === 0xf4) return "false";
    if (head === 0xf5) return "true";
    if (head === 0xf6) return "null";
    const value = argument(head & 31);
    switch (head >> 5) {
      case 0:
        return String(value);
      case 2:
        return `h'${take(value).toHex()}'`;
      case 3:
        return JSON.stringify(new TextDecoder().decode(take(value)));
      default:
        return `[${Array.from({ length: value }, item).join(", ")}]`;
    }
  };
  const text = item();
  assert(at === bytes.length, "a golden frame is one CBOR item");
  return text;
}
