/** One hash over the whole state, by which tests see that replicas agree. Changes nothing. */
import type { Database } from "bun:sqlite";
import { tableNames } from "./schema.ts";

/** SHA-256 over all rows of all tables, each in the order of its key, in hexadecimal. */
export function digestOf(database: Database): string {
  const hasher = new Bun.CryptoHasher("sha256");
  for (const table of tableNames) {
    hasher.update(`${table}\n`);
    const statement = database.prepare(`SELECT *, 0, 0 FROM ${table} ORDER BY 1, 2, 3`);
    for (const row of statement.values()) hasher.update(`${JSON.stringify(row.map(textOf))}\n`);
    statement.finalize();
  }
  return hasher.digest("hex");
}

/** Bytes and numbers must not look alike. */
const textOf = (value: unknown): unknown =>
  value instanceof Uint8Array ? { bytes: Buffer.from(value).toString("hex") } : value;
