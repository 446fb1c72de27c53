/** Changes what is on the disk of a replica that does not run: bits and ends of its log, its state, everything. */
import { readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Wound } from "./plan.ts";

/** Does it and says what was done, with file and place. */
export async function inflict(wound: Wound, dataDirectory: string): Promise<string> {
  switch (wound.kind) {
    case "flip":
      return (await Promise.all(wound.places.map((place) => flipBit(dataDirectory, place)))).join(", ");
    case "truncate":
      return cutShort(dataDirectory, wound.places[0] ?? 0);
    case "wipe":
      await wipe(dataDirectory);
      return "nothing is left";
    case "forget-state": {
      const files = (await readdir(dataDirectory)).filter((name) => name.startsWith("state.sqlite"));
      for (const name of files) await rm(join(dataDirectory, name));
      return files.join(", ");
    }
  }
}

/** Removes what is in the directory; the directory itself may be where a disk is mounted. */
export async function wipe(dataDirectory: string): Promise<void> {
  const names = await readdir(dataDirectory).catch(() => []);
  for (const name of names) if (name !== fillerName) await rm(join(dataDirectory, name), { recursive: true });
}

/** What keeps a small disk full is not the replica's. */
const fillerName = "filler";

async function segmentsOf(dataDirectory: string): Promise<string[]> {
  const names = await readdir(join(dataDirectory, "log"));
  return names.filter((name) => name.endsWith(".wal")).toSorted();
}

/** Anywhere in what is written of any segment. */
async function flipBit(dataDirectory: string, place: number): Promise<string> {
  const segments = await segmentsOf(dataDirectory);
  const name = segments[Math.floor(place * segments.length)] ?? "";
  const path = join(dataDirectory, "log", name);
  const bytes = await readFile(path);
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
  const within = (place * segments.length) % 1;
  const offset = Math.floor(within * end);
  const bit = Math.floor(within * end * 8) % 8;
  bytes[offset] = (bytes[offset] ?? 0) ^ (1 << bit);
  await writeFile(path, bytes);
  return `bit ${bit} at ${offset} of ${name}`;
}

/** The last segment, anywhere in what is written of it. */
async function cutShort(dataDirectory: string, place: number): Promise<string> {
  const name = (await segmentsOf(dataDirectory)).at(-1) ?? "";
  const path = join(dataDirectory, "log", name);
  const bytes = await readFile(path);
  const length = Math.floor(place * (bytes.findLastIndex((byte) => byte !== 0) + 1));
  await truncate(path, length);
  return `${name} ends at ${length}`;
}
