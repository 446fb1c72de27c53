/**
 * One file of the outbox that this process has claimed: its open messages, and writes that arrive together made durable
 * together, in order. Knows no sessions; when something is written is the outbox's business.
 */
import { PrivateFilesError, type PrivateFile, type PrivateFiles } from "../base/private-files.ts";
import {
  begunRecord,
  encodeRecords,
  messageRecord,
  readOutbox,
  shortened,
  type Binding,
  type BoundMessage,
  type KeptMessage,
  type OutboxContent,
  type OutboxRecord,
} from "./outbox-records.ts";

/** A file with nothing open that is longer than this is begun anew. */
const lengthBytesMax = 256 * 1024;

interface Write {
  /** Null: begin the file anew, if nothing is open. */
  readonly bytes: Uint8Array | null;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class OutboxFile {
  readonly path: string;
  readonly #file: PrivateFile;
  readonly #servers: readonly string[];
  readonly #messages = new Map<number, KeptMessage>();
  readonly #resumed: Map<string, number>;
  #nextNumber: number;
  #isBegun: boolean;
  #lengthBytes = 0;
  #queue: Write[] = [];
  #writing: Promise<void> | null = null;
  /** It ends within a record. */
  #isTorn = false;
  #isGone = false;

  private constructor(file: PrivateFile, content: Omit<OutboxContent, "format" | "cluster" | "damaged" | "torn">) {
    this.#file = file;
    this.path = file.path;
    this.#servers = content.servers;
    for (const message of content.messages) this.#messages.set(message.number, message);
    this.#resumed = new Map(content.resumed);
    this.#nextNumber = content.nextNumber;
    this.#isBegun = content.messages.length > 0;
  }

  /** A new file, which comes after all that are there: names are the order in which files are sent. */
  static begin(
    files: PrivateFiles,
    servers: readonly string[],
    randomBytes: (length: number) => Uint8Array,
  ): OutboxFile {
    const last = files.list().reduce((greatest, name) => Math.max(greatest, Number(/^\d{9}/.exec(name)?.[0] ?? 0)), 0);
    const name = `${String(last + 1).padStart(9, "0")}-${randomBytes(8).toHex()}.outbox`;
    const file = files.claim(name);
    if (file === null) throw new PrivateFilesError(`${files.name}/${name} is in use: try again`, "place");
    return new OutboxFile(file, { servers, messages: [], nextNumber: 1, resumed: new Map() });
  }

  /** The file of a process that has ended, and what was read of it. */
  static adopt(file: PrivateFile, content: OutboxContent): OutboxFile {
    const adopted = new OutboxFile(file, content);
    adopted.#isTorn = content.torn;
    // What a crash left of a record must not become part of the next one. What is damaged stays to be looked at.
    if (content.torn && content.damaged === 0) adopted.#rewrite(shortened(content));
    return adopted;
  }

  /** What is in it; throws what reading throws. */
  static read(file: PrivateFile): OutboxContent {
    return readOutbox(file.read() ?? new Uint8Array(0));
  }

  /** Open messages, in order. */
  get messages(): readonly KeptMessage[] {
    return [...this.#messages.values()];
  }

  get(number: number): KeptMessage | undefined {
    return this.#messages.get(number);
  }

  /** A message that is not on disk yet. */
  add(to: string, text: string, at: number): KeptMessage {
    const message = { number: this.#nextNumber++, to, text, at, binding: null };
    this.#messages.set(message.number, message);
    return message;
  }

  /** Resolves when the message is on disk. */
  keep(message: KeptMessage): Promise<void> {
    return this.#write([messageRecord(message)]);
  }

  /** Resolves when it is on disk that this op sends the message; the message itself as well, if `withMessage`. */
  async bind(message: KeptMessage, binding: Binding, withMessage: boolean): Promise<void> {
    const bound: OutboxRecord = { record: "bound", number: message.number, ...binding };
    await this.#write(withMessage ? [messageRecord(message), bound] : [bound]);
    if (this.#messages.has(message.number)) this.#messages.set(message.number, { ...message, binding });
  }

  /** Resolves when it is on disk that no op was made of the message. */
  async free({ number }: KeptMessage): Promise<void> {
    await this.#write([{ record: "freed", number }]);
    const message = this.#messages.get(number);
    if (message !== undefined) this.#messages.set(number, { ...message, binding: null });
  }

  /** Nothing waits for it: were it lost, the message would be asked for again and found to be done. */
  over(number: number): void {
    if (!this.#messages.delete(number)) return;
    this.#write([{ record: "over", number }]).catch(() => {});
    if (this.#messages.size === 0 && this.#lengthBytes > lengthBytesMax) this.#push(null).catch(() => {});
  }

  /** It could not be kept: there is nothing on disk to be taken back. */
  drop(number: number): void {
    this.#messages.delete(number);
  }

  /** Open messages that are bound to this session. */
  boundTo(session: string): readonly BoundMessage[] {
    return this.messages.filter((message): message is BoundMessage => message.binding?.session === session);
  }

  /** From which seq on the last process has used a session that was bound here; 0 if none has. */
  resumedAt(session: string): number {
    return this.#resumed.get(session) ?? 0;
  }

  /** Resolves when it is on disk that a session that was bound here is used from this seq on. */
  async resume(session: string, next: number): Promise<void> {
    await this.#write([{ record: "resumed", session, next }]);
    this.#resumed.set(session, next);
  }

  /** Waits for what is being written; deletes the file when nothing in it is open, else leaves it to the next run. */
  async close(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    this.#end(() => (this.#messages.size === 0 ? this.#file.remove() : this.#file.release()));
  }

  /** Leaves the file as it is, under another name, for somebody to look at. */
  async setAside(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    this.#end(() => this.#file.setAside());
  }

  #end(action: () => void): void {
    if (this.#isGone) return;
    this.#isGone = true;
    action();
  }

  #write(records: readonly OutboxRecord[]): Promise<void> {
    return this.#push(encodeRecords(records));
  }

  #rewrite(records: readonly OutboxRecord[]): void {
    this.#writing = this.#file
      .replace(encodeRecords(records))
      .then(
        () => void (this.#isTorn = false),
        () => {},
      )
      .then(() => this.#run());
  }

  #push(bytes: Uint8Array | null): Promise<void> {
    if (this.#isGone) return Promise.reject(new Error(`${this.path} is closed`));
    return new Promise((resolve, reject) => {
      this.#queue.push({ bytes, resolve, reject });
      this.#writing ??= this.#run();
    });
  }

  async #run(): Promise<void> {
    // The end of this turn: whatever arrives together is written together.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const writes = this.#queue;
      this.#queue = [];
      try {
        await this.#make(writes);
        for (const { resolve } of writes) resolve();
      } catch (error) {
        for (const { reject } of writes) reject(error);
      }
    }
    this.#writing = null;
  }

  async #make(writes: readonly Write[]): Promise<void> {
    const parts = writes.flatMap(({ bytes }) => (bytes === null ? [] : [bytes]));
    const isAnew = parts.length < writes.length && this.#messages.size === 0;
    const header = this.#isBegun && !isAnew ? [] : [encodeRecords([begunRecord(this.#servers)])];
    const newline = this.#isTorn && !isAnew ? [Buffer.from("\n")] : [];
    const bytes = Buffer.concat(isAnew ? header : [...newline, ...header, ...parts]);
    if (isAnew) await this.#file.replace(bytes);
    else await this.#file.append(bytes);
    this.#isBegun = true;
    this.#isTorn = false;
    this.#lengthBytes = isAnew ? bytes.length : this.#lengthBytes + bytes.length;
  }
}
