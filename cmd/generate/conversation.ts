/**
 * A short conversation in bytes for `lib/protocol/README.md`, from the golden frames in `fixtures/wire/frames` and what
 * is said differently here. Reads those files, writes nothing.
 */
import { readFileSync } from "node:fs";
import { assert } from "../../lib/base/assert.ts";
import { decodeFrame, encodeFrame, framePrefixBytes } from "../../lib/protocol/codec.ts";
import type { Frame, FrameOf, FrameType } from "../../lib/protocol/messages.ts";

interface Line {
  readonly from: "client" | "server";
  readonly frame: FrameType;
  readonly remark: string;
  /** What is other than in the golden frame. */
  readonly fields: Readonly<Record<string, unknown>>;
}

function says<T extends FrameType>(
  from: Line["from"],
  frame: T,
  remark: string,
  fields: Partial<Omit<FrameOf<T>, "type">> = {},
): Line {
  return { from, frame, remark, fields };
}

const bobsSession = "7c41d8e2-9b05-4f36-a2d7-5e6f708192a3";
const toAlice = { from: "bob", to: "alice", at: 1_790_000_004_000, read: false, inbox: false } as const;
const lost = { seq: 5, oldest: 5, to: "bob", text: "Still there?" } as const;

/** Who says what, in order; a text stands for what happens in between. */
const conversation: readonly (Line | string)[] = [
  says("client", "hello", "the first frame on the connection"),
  says("server", "welcome", "who answers, of which cluster, and where the other replicas are"),
  says("client", "openSession", "a new session: `create` is true, and seq 0 is used up"),
  says("server", "sessionOpened", "registered in the log; nobody is logged in"),
  says("client", "createAccount", "seq 1; `request` is any number, here one more each time", { request: 2 }),
  says("server", "created", "on three disks", { request: 2 }),
  says("client", "login", "seq 2; the op below 2 is answered, so `oldest` is 2", { request: 3 }),
  says("server", "loggedIn", "no messages are waiting", { request: 3 }),
  says("client", "send", "seq 3", { request: 4 }),
  says("server", "sent", "the message's id is the op's id: this session and seq 3", { request: 4 }),
  says("client", "send", "seq 4, to nobody", { request: 5, seq: 4, oldest: 4, to: "bop", text: "Hi" }),
  says("server", "refused", "an answer like any other: the next op takes seq 5", { request: 5 }),
  says("server", "message", "a push: bob has written", {
    message: { ...toAlice, id: { session: bobsSession, seq: 9 }, index: 4716, text: "Hello, Alice!" },
  }),
  says("client", "send", "seq 5", { request: 6, ...lost }),
  "Here the connection breaks: whether seq 5 was done is unknown. The client connects to another replica. After " +
    "`hello` and `welcome`, as above:",
  says(
    "client",
    "openSession",
    "resumes the session. The reply with the greatest index was `sent`, at 4715; the last message pushed had index 4716",
    { create: false, lastView: 769, lastIndex: 4715, lastMessageIndex: 4716 },
  ),
  says("server", "sessionOpened", "still logged in", { user: "alice", index: 4720, view: 1026 }),
  says("server", "message", "what arrived in between", {
    message: { ...toAlice, id: { session: bobsSession, seq: 10 }, index: 4719, text: "I am." },
  }),
  says("client", "send", "seq 5 once more: the same seq and content", { request: 2, ...lost }),
  says("server", "sent", "it had been done before the connection broke, and was not done again: `duplicate` is true", {
    request: 2,
    index: 4717,
    copies: 2,
    duplicate: true,
    id: { session: "3f2a9c10-6d5e-4b7f-8a91-0c1d2e3f4a5b", seq: 5 },
    at: 1_790_000_004_500,
  }),
  says("client", "ping", "any time, from either side"),
  says("server", "pong", ""),
  says("client", "goodbye", "then it closes; the session stays in the log"),
];

export function conversationText(folder: string): string {
  const lines: string[] = [];
  for (const line of conversation) {
    if (typeof line === "string") {
      lines.push(line, "");
      continue;
    }
    const { from, frame, remark } = line;
    const bytes = encoded(folder, line);
    lines.push(
      `**${from} → ${frame}**${remark === "" ? "" : `: ${remark}`}`,
      "",
      "```",
      diagnostic(bytes),
      "",
      ...wrap(bytes.toHex()),
      "```",
      "",
    );
  }
  return lines.join("\n").trimEnd();
}

function encoded(folder: string, { frame, fields }: Line): Uint8Array {
  const { bytes } = JSON.parse(readFileSync(`${folder}/${frame}.json`, "utf8")) as { bytes: string };
  const golden = decodeFrame(Uint8Array.fromHex(bytes).subarray(framePrefixBytes));
  return encodeFrame({ ...golden, ...fields } as Frame);
}

/** The prefix on its own, then 32 bytes a line. */
const wrap = (hex: string): string[] => [hex.slice(0, 8), ...(hex.slice(8).match(/.{1,64}/g) ?? [])];

/** The frame's content in CBOR's diagnostic notation (RFC 8949, section 8). */
function diagnostic(bytes: Uint8Array): string {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = framePrefixBytes;
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
