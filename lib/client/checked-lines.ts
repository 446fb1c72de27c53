/**
 * Records in a file, one a line: eight hexadecimal digits of CRC-32, a blank, JSON. What is damaged is told apart from
 * what a crash left unfinished, and costs its own line only. Pure; what the records mean is their owner's business.
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The bytes of one record, its newline included. */
export function encodeLine(record: object): Uint8Array {
  const json = JSON.stringify(record);
  return encoder.encode(`${checksum(json)} ${json}\n`);
}

export interface CheckedLines {
  /** What can be read, in order. */
  readonly records: readonly Readonly<Record<string, unknown>>[];
  /** Whole lines that cannot be read. */
  readonly damaged: number;
  /** The file ends within a record: what is appended begins with a newline. */
  readonly torn: boolean;
}

export function readLines(bytes: Uint8Array): CheckedLines {
  const lines = decoder.decode(bytes).split("\n");
  // After the last newline there is nothing, or what a crash left of a record.
  const rest = lines.pop() ?? "";
  const records: Record<string, unknown>[] = [];
  let damaged = 0;
  for (const line of lines) {
    const record = parseLine(line);
    if (record !== null) records.push(record);
    else if (line !== "") damaged++;
  }
  return { records, damaged, torn: rest !== "" };
}

function parseLine(line: string): Record<string, unknown> | null {
  const json = line.slice(9);
  if (line[8] !== " " || line.slice(0, 8) !== checksum(json)) return null;
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}

const checksum = (json: string): string => Bun.hash.crc32(json).toString(16).padStart(8, "0");
