/**
 * `PrivateFiles` in memory, and processes that use them and can be killed at any write: what a crash leaves, torn records
 * included, is what the next process finds. Shows no more of a disk than the port does.
 */
import { PrivateFilesError, type PrivateFile, type PrivateFiles } from "../base/private-files.ts";
import type { Clock, Connection, Transport } from "../base/transport.ts";
import type { ByteNetwork } from "../sim/byte-network.ts";

/** What a process that dies at a write leaves of it. */
export type Remains = "nothing" | "half" | "all";

/** A directory that outlives processes. */
export class MemoryDisk {
  readonly files = new Map<string, Uint8Array>();
  readonly holders = new Map<string, Life>();
  /** Writes and removals until now. */
  steps = 0;
  /** At this step its process dies. */
  crash: { readonly step: number; readonly remains: Remains } | null = null;
  /** No write is done before. */
  held: Promise<void> = Promise.resolve();
  /** Every write fails so. */
  fault: string | null = null;
  /** It cannot even be listed. */
  isUnusable = false;

  /** Does what `write` does, unless the process dies here. Never resolves then. */
  async write(life: Life, bytes: Uint8Array, write: (bytes: Uint8Array) => void): Promise<void> {
    await this.held;
    if (this.#dies(life, bytes, write)) return new Promise(() => {});
    if (this.fault !== null) throw new PrivateFilesError(this.fault, "disk");
    write(bytes);
  }

  /** The same for what is done at once; the process is dead when it returns false. */
  remove(life: Life, remove: () => void): void {
    if (this.#dies(life, new Uint8Array(0), (bytes) => bytes.length > 0 && remove())) return;
    remove();
  }

  #dies(life: Life, bytes: Uint8Array, write: (bytes: Uint8Array) => void): boolean {
    if (!life.isAlive) return true;
    this.steps++;
    if (this.crash?.step !== this.steps) return false;
    const { remains } = this.crash;
    if (remains !== "nothing") write(remains === "all" ? bytes : bytes.subarray(0, bytes.length / 2));
    life.kill();
    return true;
  }
}

/** One process: its ports go dead with it, and what it had claimed is free. */
export class Life {
  isAlive = true;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly files: PrivateFiles;
  readonly #disk: MemoryDisk;
  readonly #connections: Connection[] = [];

  constructor(disk: MemoryDisk, network: ByteNetwork) {
    this.#disk = disk;
    this.files = new MemoryFiles(disk, this);
    const never = new Promise<never>(() => {});
    this.transport = {
      listen: () => never,
      connect: async (host, port, timeoutMs, handlers) => {
        const connection = await network.transport.connect(host, port, timeoutMs, (made) => {
          const { data, closed } = handlers(made);
          return { data: (chunk) => this.isAlive && data(chunk), closed: (reason) => this.isAlive && closed(reason) };
        });
        this.#connections.push(connection);
        if (!this.isAlive) connection.terminate();
        return this.isAlive ? connection : never;
      },
    };
    this.clock = {
      monotonicMs: () => network.monotonicMs(),
      wallMs: () => network.wallMs(),
      setTimer: (delayMs, callback) => network.setTimer(delayMs, () => this.isAlive && callback()),
    };
  }

  kill(): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    for (const connection of this.#connections) connection.terminate();
    for (const [name, holder] of this.#disk.holders) if (holder === this) this.#disk.holders.delete(name);
  }
}

class MemoryFiles implements PrivateFiles {
  readonly name = "memory";
  constructor(
    readonly disk: MemoryDisk,
    readonly life: Life,
  ) {}

  prepare(): void {
    this.list();
  }

  list(): string[] {
    if (this.disk.isUnusable) throw new PrivateFilesError("cannot read memory: EACCES", "place");
    return [...this.disk.files.keys()].filter((name) => !name.endsWith(".damaged")).toSorted();
  }

  claim(name: string): PrivateFile | null {
    if (this.disk.isUnusable) throw new PrivateFilesError(`cannot use memory/${name}: EACCES`, "place");
    if (this.disk.holders.has(name)) return null;
    this.disk.holders.set(name, this.life);
    return new MemoryFile(name, this.disk, this.life);
  }
}

class MemoryFile implements PrivateFile {
  readonly path: string;
  constructor(
    readonly name: string,
    readonly disk: MemoryDisk,
    readonly life: Life,
  ) {
    this.path = `memory/${name}`;
  }

  read(): Uint8Array | null {
    return this.disk.files.get(this.name) ?? null;
  }

  append(bytes: Uint8Array): Promise<void> {
    return this.disk.write(this.life, bytes, (part) => {
      this.disk.files.set(this.name, Buffer.concat([this.read() ?? new Uint8Array(0), part]));
    });
  }

  replace(bytes: Uint8Array): Promise<void> {
    return this.disk.write(this.life, bytes, (part) => {
      if (part.length === bytes.length) this.disk.files.set(this.name, bytes);
    });
  }

  setAside(): void {
    this.disk.remove(this.life, () => {
      const content = this.read();
      this.disk.files.delete(this.name);
      if (content !== null) this.disk.files.set(`${this.name}.damaged`, content);
    });
    this.release();
  }

  remove(): void {
    this.disk.remove(this.life, () => this.disk.files.delete(this.name));
    this.release();
  }

  release(): void {
    if (this.disk.holders.get(this.name) === this.life) this.disk.holders.delete(this.name);
  }
}
