/** The keyboard's bytes, cut at every place. */
import { expect, test } from "bun:test";
import { key, KeyDecoder, pasteEnd, pasteStart, type Input } from "./keys.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function decode(...chunks: Uint8Array[]): Input[] {
  const decoder = new KeyDecoder();
  return chunks.flatMap((chunk) => decoder.push(chunk));
}

/** Text that came in pieces counts as the same text. */
function joined(inputs: readonly Input[]): Input[] {
  const out: Input[] = [];
  for (const input of inputs) {
    const last = out.at(-1);
    if (input.type === "key" && input.text !== "" && last?.type === "key" && last.text !== "") {
      out[out.length - 1] = key("", { text: last.text + input.text });
    } else out.push(input.type === "key" && input.text !== "" ? key("", { text: input.text }) : input);
  }
  return out;
}

test("keys of terminals", () => {
  expect(decode(bytes("\x1b[A\x1bOB\x1b[1;5C\x1b[3~\x1b[H\x1b[4~\x7f\t\r"))).toEqual([
    key("up"),
    key("down"),
    key("right", { ctrl: true }),
    key("delete"),
    key("home"),
    key("end"),
    key("backspace"),
    key("tab"),
    key("return"),
  ]);
  expect(decode(bytes("\x03\x1bb\x1b\r\x1b\x7f"))).toEqual([
    key("c", { ctrl: true }),
    key("b", { meta: true }),
    key("return", { meta: true }),
    key("backspace", { meta: true }),
  ]);
  expect(decode(bytes("\x1b[99;5u\x1b[13;2u"))).toEqual([key("c", { ctrl: true }), key("return", { shift: true })]);
});

test("replies of the terminal and unknown sequences type nothing", () => {
  expect(decode(bytes("\x1b[?62;22c\x1b]11;rgb:00/00/00\x1b\\\x1b[I\x1b[12;41Rx"))).toEqual([
    { type: "position", column: 40 },
    key("x", { text: "x" }),
  ]);
});

test("a paste is one input, whatever is in it", () => {
  expect(decode(bytes(`${pasteStart}a\rb\x03\x1b[Ac${pasteEnd}d`))).toEqual([
    { type: "paste", text: "a\rb\x03\x1b[Ac" },
    key("d", { text: "d" }),
  ]);
});

test("the same comes out however the bytes are cut", () => {
  const whole = bytes(`hé日👍🏽\x1b[1;5D\x1bOA\x1bx\r${pasteStart}zwei\nZeilen é${pasteEnd}\x1b[3~ok\x1b]0;t\x07!`);
  const expected = joined(decode(whole));
  for (let at = 1; at < whole.length; at += 1) {
    expect(joined(decode(whole.subarray(0, at), whole.subarray(at)))).toEqual(expected);
  }
  expect(joined(decode(...Array.from(whole, (byte) => Uint8Array.of(byte))))).toEqual(expected);
});

test("a lone escape is the Escape key once nothing follows", () => {
  const decoder = new KeyDecoder();
  expect(decoder.push(bytes("\x1b"))).toEqual([]);
  expect(decoder.pending).toBe(true);
  expect(decoder.flush()).toEqual([key("escape")]);
  expect(decoder.pending).toBe(false);
});

test("a paste whose end got lost ends with the flush", () => {
  const decoder = new KeyDecoder();
  expect(decoder.push(bytes(`${pasteStart}lost`))).toEqual([]);
  expect(decoder.flush()).toEqual([{ type: "paste", text: "lost" }]);
  expect(decoder.push(bytes("x"))).toEqual([key("x", { text: "x" })]);
});

test("a paste that stands still on a slow line goes on as a paste, wherever it was broken off", () => {
  const whole = `one\rtwo\rthree${pasteEnd}`;
  for (let at = 1; at < whole.length; at++) {
    const decoder = new KeyDecoder();
    const inputs = [...decoder.push(bytes(`${pasteStart}${whole.slice(0, at)}`)), ...decoder.flush()];
    expect([decoder.pending, decoder.flush()]).toEqual([false, []]);
    inputs.push(...decoder.push(bytes(whole.slice(at))));
    const text = inputs.map((input) => (input.type === "paste" ? input.text : "KEY")).join("");
    expect(text).toBe("one\rtwo\rthree");
    expect(decoder.push(bytes("\r"))).toEqual([key("return")]);
  }
});
