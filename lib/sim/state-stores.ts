/**
 * The states that simulated replicas apply their logs to: the real chat on SQLite in memory, or a small one. Hashes of
 * passwords take a moment of virtual time and none of the processor's.
 */
import { Database } from "bun:sqlite";
import { openChat } from "../chat/chat.ts";
import type { PasswordHasher } from "../chat/passwords.ts";
import type { Random } from "./random.ts";
import type { Simulator } from "./simulator.ts";
import { MemoryStateMachine, type MemoryImage } from "./state-machine.ts";
import type { StateStore } from "./storage.ts";

/** `forgets`: sessions expire, or what one disk alone holds may be lost. */
export function memoryState(forgets: boolean): StateStore {
  const stateMachine = new MemoryStateMachine(!forgets);
  return {
    stateMachine,
    prepared: (op) => stateMachine.prepared(op),
    digest: () => String(stateMachine.digest),
    image: () => stateMachine.image(),
    restore: (image) => stateMachine.restore(image as MemoryImage),
  };
}

export function hasherOf(simulator: Simulator, random: Random): PasswordHasher {
  const later = <T>(result: T): Promise<T> =>
    new Promise((resolve) => simulator.after(random.around(5), () => resolve(result)));
  return {
    hash: (password) => later(`${random.uint32()} ${password}`),
    verify: (password, hash) => later(hash.endsWith(` ${password}`)),
  };
}

/** A chat in which nothing has happened; taking a copy is quicker than making all its tables. */
let empty: Uint8Array | null = null;

function emptyImage(passwordHasher: PasswordHasher): Uint8Array {
  const database = new Database(":memory:");
  const chat = openChat(database, { passwordHasher });
  const image = database.serialize();
  chat.close();
  return image;
}

export function chatState(passwordHasher: PasswordHasher): StateStore {
  // Hardly any account stays in memory: what is read anew must be what was there.
  const options = { passwordHasher, accountsHeldMax: 1 };
  empty ??= emptyImage(passwordHasher);
  let database = Database.deserialize(empty);
  let chat = openChat(database, options);
  return {
    get stateMachine() {
      return chat;
    },
    // Commands of the chat are made elsewhere.
    prepared: (op) => op,
    digest: () => chat.digest(),
    image: () => database.serialize(),
    restore: (image) => {
      chat.close();
      database = Database.deserialize(image as Uint8Array);
      chat = openChat(database, options);
    },
  };
}
