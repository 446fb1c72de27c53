/** Forks as the logs in memory of simulations and tests tell of them. Pure. */

/** Few, so that also a small fork is merged in several portions. */
const portionRecords = 8;

/** OP records that were superseded, in the order of their places, a portion at a time. */
export function* portionsOf(records: readonly Uint8Array[]): IterableIterator<readonly Uint8Array[]> {
  const placed = records.toSorted((one, other) => indexOf(one) - indexOf(other));
  for (let from = 0; from < placed.length; from += portionRecords) yield placed.slice(from, from + portionRecords);
}

const indexOf = (bytes: Uint8Array): number =>
  Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(16, true));
