/** A backend whose every change is told at once, so that the invariants are held against the very moment. */
import {
  MemoryBackend,
  type MemoryFault,
  type MemoryObject,
  type MemoryOperation,
} from '../../agent/src/provisioners/memory/memory-backend.ts';

/** What is told of a backend. */
export interface BackendWatcher {
  onMade(backend: WatchedBackend, object: MemoryObject): void;
  onGone(backend: WatchedBackend, object: MemoryObject): void;
}

class WatchedObjects extends Map<string, MemoryObject> {
  onSet: (object: MemoryObject) => void = () => undefined;
  onDelete: (object: MemoryObject) => void = () => undefined;

  override set(id: string, object: MemoryObject): this {
    super.set(id, object);
    this.onSet(object);
    return this;
  }

  override delete(id: string): boolean {
    const object = this.get(id);
    const isGone = super.delete(id);
    if (object !== undefined) this.onDelete(object);
    return isGone;
  }
}

/** The same objects without the faults: how things are, whoever may see it. */
class PlainBackend extends MemoryBackend {
  override readonly objects: Map<string, MemoryObject>;

  constructor(objects: Map<string, MemoryObject>) {
    super();
    this.objects = objects;
  }
}

export class WatchedBackend extends MemoryBackend {
  readonly name: string;
  override readonly objects: WatchedObjects;
  /** What somebody else has there, as it was when it was put there. */
  readonly foreign = new Map<string, { readonly parts: readonly unknown[]; readonly text: string }>();

  constructor(name: string, watcher: BackendWatcher, instancesMax: number) {
    super(instancesMax);
    this.name = name;
    this.objects = new WatchedObjects();
    this.objects.onSet = (object) => {
      watcher.onMade(this, object);
      if (this.foreign.has(object.id)) return;
      this.onceMade?.();
      this.onceMade = null;
    };
    this.objects.onDelete = (object) => watcher.onGone(this, object);
  }

  /** Nothing at the backend answers. */
  isAway = false;
  /** Called when the next instance is made. */
  onceMade: (() => void) | null = null;

  override takeFault(operation: MemoryOperation): MemoryFault | undefined {
    return this.isAway ? { on: operation, what: 'error' } : super.takeFault(operation);
  }

  withoutFaults(): MemoryBackend {
    return new PlainBackend(this.objects);
  }

  /** Puts an object there that is not ours, whatever it looks like. */
  putForeign(object: MemoryObject): void {
    this.foreign.set(object.id, { parts: Object.values(object), text: JSON.stringify(object) });
    this.objects.set(object.id, object);
  }
}
