/**
 * Takes the code signature off a Mach-O executable of 64 bits, as Apple's own tool does. An executable that was changed
 * after it was signed may be killed at its start; one without a signature is not, where Intel's instructions run. Apple's
 * processors run nothing unsigned: what is built for them must be signed instead. Knows nothing else of the format.
 */

const magic = 0xfeedfacf;
const headerBytes = 32;
const segmentCommand = 0x19;
const signatureCommand = 0x1d;
const signatureCommandBytes = 16;
const pageBytes = 4096;

/** Throws when it is no such file, and when its signature is not the last thing in it, as linkers and signers lay it. */
export function withoutSignature(executable: Uint8Array): Uint8Array {
  const file = Uint8Array.from(executable);
  const view = new DataView(file.buffer);
  if (file.length < headerBytes || view.getUint32(0, true) !== magic)
    throw new Error("it is no Mach-O file of 64 bits");
  const commands = view.getUint32(16, true);
  const commandsEnd = headerBytes + view.getUint32(20, true);
  let linkEdit = -1;
  let at = headerBytes;
  for (let left = commands; left > 0; left--) {
    const kind = view.getUint32(at, true);
    const size = view.getUint32(at + 4, true);
    if (kind === segmentCommand && segmentName(file, at) === "__LINKEDIT") linkEdit = at;
    if (kind !== signatureCommand) {
      at += size;
      continue;
    }
    const start = view.getUint32(at + 8, true);
    const isLast = left === 1 && at + size === commandsEnd && start + view.getUint32(at + 12, true) === file.length;
    if (!isLast || linkEdit < 0) throw new Error("its signature is not the last thing in it");
    view.setUint32(16, commands - 1, true);
    view.setUint32(20, commandsEnd - headerBytes - size, true);
    file.fill(0, at, at + signatureCommandBytes);
    const linkEditBytes = BigInt(start) - view.getBigUint64(linkEdit + 40, true);
    view.setBigUint64(linkEdit + 48, linkEditBytes, true);
    view.setBigUint64(linkEdit + 32, roundedUp(linkEditBytes), true);
    return file.subarray(0, start);
  }
  return file;
}

function segmentName(file: Uint8Array, command: number): string {
  return new TextDecoder().decode(file.subarray(command + 8, command + 24)).replace(/\0+$/, "");
}

const roundedUp = (bytes: bigint): bigint => ((bytes + BigInt(pageBytes) - 1n) / BigInt(pageBytes)) * BigInt(pageBytes);
