/** For tests of what is durable: watches which files and directories this process syncs, by calls that wait for it. */
import { spyOn } from "bun:test";
import * as fs from "node:fs";

/** Until it is disposed of. `take` tells the paths of those that were synced since the last time, in order. */
export function syncedFiles(): { take(): string[] } & Disposable {
  const real = { ...fs };
  const opened = new Map<number, string>();
  let synced: string[] = [];
  const note = (descriptor: number): void => void synced.push(opened.get(descriptor) ?? "opened before");
  const spies = [
    spyOn(fs, "openSync").mockImplementation((path, flags, mode) => {
      const descriptor = real.openSync(path, flags, mode);
      opened.set(descriptor, String(path));
      return descriptor;
    }),
    spyOn(fs, "fsyncSync").mockImplementation((descriptor) => {
      note(descriptor);
      real.fsyncSync(descriptor);
    }),
    spyOn(fs, "fdatasyncSync").mockImplementation((descriptor) => {
      note(descriptor);
      real.fdatasyncSync(descriptor);
    }),
  ];
  return {
    take: () => {
      const taken = synced;
      synced = [];
      return taken;
    },
    [Symbol.dispose]: () => {
      for (const spy of spies) spy.mockRestore();
    },
  };
}
