/** Taking the signature off a Mach-O executable: on one that is laid out as the linker does it, but small. */
import { expect, test } from "bun:test";
import { withoutSignature } from "./mach-o.ts";

const headerBytes = 32;
const segmentBytes = 72;
const signatureBytes = 5000;
/** Where the last segment begins, and how much of it is not the signature. */
const linkEditAt = 4096;
const linkEditBytes = 100;

/** The header, `__TEXT`, `__LINKEDIT` and the signature's command; `after` is what stands behind the signature. */
function signedExecutable({ after = 0, signatureFirst = false } = {}): Uint8Array {
  const file = new Uint8Array(linkEditAt + linkEditBytes + signatureBytes + after).fill(7);
  const view = new DataView(file.buffer);
  const commandsBytes = 2 * segmentBytes + 16;
  file.fill(0, 0, headerBytes + commandsBytes);
  view.setUint32(0, 0xfeedfacf, true);
  view.setUint32(16, 3, true);
  view.setUint32(20, commandsBytes, true);
  let at = headerBytes;
  const segment = (name: string, start: number, bytes: number): void => {
    view.setUint32(at, 0x19, true);
    view.setUint32(at + 4, segmentBytes, true);
    file.set(new TextEncoder().encode(name), at + 8);
    view.setBigUint64(at + 32, 0x4000n, true);
    view.setBigUint64(at + 40, BigInt(start), true);
    view.setBigUint64(at + 48, BigInt(bytes), true);
    at += segmentBytes;
  };
  const signature = (): void => {
    [0x1d, 16, linkEditAt + linkEditBytes, signatureBytes].forEach((word, i) => view.setUint32(at + 4 * i, word, true));
    at += 16;
  };
  segment("__TEXT", 0, linkEditAt);
  if (signatureFirst) signature();
  segment("__LINKEDIT", linkEditAt, linkEditBytes + signatureBytes);
  if (!signatureFirst) signature();
  return file;
}

test("command, bytes and sizes of the signature go, everything else stays", () => {
  const signed = signedExecutable();
  const before = Uint8Array.from(signed);
  const bare = withoutSignature(signed);
  expect(signed).toEqual(before);
  expect(bare.length).toBe(linkEditAt + linkEditBytes);
  const view = new DataView(bare.buffer, bare.byteOffset);
  expect([view.getUint32(16, true), view.getUint32(20, true)]).toEqual([2, 2 * segmentBytes]);
  const linkEdit = headerBytes + segmentBytes;
  expect([view.getBigUint64(linkEdit + 32, true), view.getBigUint64(linkEdit + 48, true)]).toEqual([4096n, 100n]);
  expect(bare.subarray(headerBytes, linkEdit)).toEqual(before.subarray(headerBytes, linkEdit));
  expect(bare.subarray(linkEdit + segmentBytes, linkEdit + segmentBytes + 16).every((byte) => byte === 0)).toBeTrue();
  expect(bare.subarray(linkEditAt)).toEqual(before.subarray(linkEditAt, bare.length));
});

test("one that has none stays as it is", () => {
  const bare = withoutSignature(signedExecutable());
  expect(withoutSignature(bare)).toEqual(bare);
});

test("what is laid out in another way is not touched", () => {
  expect(() => withoutSignature(signedExecutable({ after: 1 }))).toThrow("not the last thing");
  expect(() => withoutSignature(signedExecutable({ signatureFirst: true }))).toThrow("not the last thing");
  expect(() => withoutSignature(new Uint8Array([0x7f, 0x45, 0x4c, 0x46]))).toThrow("no Mach-O file");
});
