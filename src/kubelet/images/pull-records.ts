/**
 * Which credentials the images of this node were pulled with (KEP-2535): a Pod may use an image that is here only if it could have
 * pulled it. Written below `<rootDir>/image_manager`, in upstream's form. Images that nobody here pulled were put there by the node's
 * owner: they are for every Pod, unless the policy says otherwise.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rfc3339, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { parseImageReference } from '../runtime/image-name.ts';
import { matchesLocation, type Credential, type CredentialOwner } from './keyring.ts';

const log = logger('kubelet');
const API_VERSION = 'kubelet.config.k8s.io/v1beta1';

export type VerificationPolicy = 'NeverVerify' | 'NeverVerifyPreloadedImages' | 'NeverVerifyAllowlistedImages' | 'AlwaysVerify';

interface RecordedOwner {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Of a secret's credentials; service accounts have none. */
  readonly credentialHash?: string;
}
interface Access {
  readonly nodePodsAccessible?: boolean;
  readonly kubernetesSecrets?: readonly RecordedOwner[];
  readonly kubernetesServiceAccounts?: readonly RecordedOwner[];
}
interface PulledRecord {
  readonly kind: 'ImagePulledRecord';
  readonly apiVersion: string;
  readonly lastUpdatedTime: string;
  readonly imageRef: string;
  /** By name of the image without tag and digest. */
  readonly credentialMapping: Readonly<Record<string, Access>>;
}

export interface PullRecordsOptions {
  readonly rootDir: string;
  readonly clock: Clock;
  readonly policy: VerificationPolicy;
  /** Images that are for every Pod under `NeverVerifyAllowlistedImages`: `docker.io/library`, `registry.example.com/team/*`. */
  readonly allowlist?: readonly string[] | undefined;
}

export class PullRecords {
  readonly #o: PullRecordsOptions;
  readonly #pulled = new Map<string, PulledRecord>();
  /** By image: pulls under way. */
  readonly #pulling = new Map<string, number>();
  #ready: Promise<void> | undefined;

  constructor(options: PullRecordsOptions) {
    this.#o = options;
  }
  /** Whether a Pod with these credentials must pull an image that is here already. */
  async mustPull(image: string, imageRef: string, credentials: () => Promise<readonly Credential[]>): Promise<boolean> {
    await (this.#ready ??= this.#read());
    if (this.#o.policy === 'NeverVerify') return false;
    const record = this.#pulled.get(imageRef);
    const access = record?.credentialMapping[nameOf(image)];
    // The same content may be here by two names. One that nobody here pulled was put there by the owner; by its content alone no name is meant.
    const pulledHere = access !== undefined || this.#pulling.has(image) || (record !== undefined && isImageID(image));
    if (!this.#verifies(image, pulledHere)) return false;
    if (!access) return true;
    if (access.nodePodsAccessible) return false;
    for (const credential of await credentials()) {
      if (!credential.owner || !isKnown(access, credential)) continue;
      // The same secret under another name, or with other content: it is known from now on.
      await this.#write(imageRef, image, credential);
      return false;
    }
    return true;
  }
  /** Call it before a pull: an image that a kubelet that died had pulled is not taken for the owner's. */
  async begin(image: string): Promise<void> {
    await (this.#ready ??= this.#read());
    this.#pulling.set(image, (this.#pulling.get(image) ?? 0) + 1);
    await this.#save('pulling', image, { kind: 'ImagePullIntent', apiVersion: API_VERSION, image });
  }
  /** The pull has ended; `imageRef` when it brought the image, with the credential that did. */
  async end(image: string, imageRef: string | undefined, credential: Credential | undefined): Promise<void> {
    if (imageRef !== undefined) await this.#write(imageRef, image, credential);
    const left = (this.#pulling.get(image) ?? 1) - 1;
    if (left > 0) return void this.#pulling.set(image, left);
    this.#pulling.delete(image);
    await rm(this.#path('pulling', image), { force: true });
  }
  /** Forgets images that are gone. `listedAt` is when the list was asked for. */
  async prune(imageRefs: ReadonlySet<string>, listedAt: number): Promise<void> {
    for (const [ref, record] of this.#pulled) {
      // The file's time knows seconds only.
      if (imageRefs.has(ref) || Date.parse(record.lastUpdatedTime) + 1000 > listedAt) continue;
      this.#pulled.delete(ref);
      await rm(this.#path('pulled', ref), { force: true });
    }
  }

  #verifies(image: string, pulledHere: boolean): boolean {
    const { policy, allowlist = [] } = this.#o;
    if (policy === 'AlwaysVerify' || pulledHere) return true;
    const reference = parseImageReference(image);
    return policy === 'NeverVerifyAllowlistedImages' && !(typeof reference !== 'string' && allowlist.some((a) => matchesLocation(a.replace(/\/\*$/, ''), reference)));
  }
  async #write(imageRef: string, image: string, credential: Credential | undefined): Promise<void> {
    const before = this.#pulled.get(imageRef);
    const name = nameOf(image);
    const access = withCredential(before?.credentialMapping[name] ?? {}, credential);
    if (before && JSON.stringify(access) === JSON.stringify(before.credentialMapping[name])) return;
    const record: PulledRecord = { kind: 'ImagePulledRecord', apiVersion: API_VERSION, lastUpdatedTime: rfc3339(this.#o.clock.now()), imageRef, credentialMapping: { ...before?.credentialMapping, [name]: access } };
    this.#pulled.set(imageRef, record);
    await this.#save('pulled', imageRef, record);
  }
  async #read(): Promise<void> {
    for (const folder of ['pulling', 'pulled']) await mkdir(join(this.#o.rootDir, 'image_manager', folder), { recursive: true, mode: 0o700 });
    for (const record of await this.#readAll<PulledRecord>('pulled')) this.#pulled.set(record.imageRef, record);
    // Whether these came is not known: the next Pod that wants one pulls it.
    for (const { image } of await this.#readAll<{ image: string }>('pulling')) this.#pulling.set(image, 0);
  }
  async #readAll<T>(folder: string): Promise<T[]> {
    const dir = join(this.#o.rootDir, 'image_manager', folder);
    const out: T[] = [];
    for (const file of await readdir(dir)) {
      try {
        out.push(JSON.parse(await readFile(join(dir, file), 'utf8')) as T);
      } catch (err) {
        log.warn({ err, file: join(dir, file) }, 'record of a pull not readable, removed');
        await rm(join(dir, file), { force: true });
      }
    }
    return out;
  }
  async #save(folder: string, key: string, content: object): Promise<void> {
    const path = this.#path(folder, key);
    await writeFile(`${path}.tmp`, JSON.stringify(content), { mode: 0o600 });
    await rename(`${path}.tmp`, path);
  }
  #path(folder: string, key: string): string {
    return join(this.#o.rootDir, 'image_manager', folder, `sha256-${createHash('sha256').update(key).digest('hex')}`);
  }
}

const isImageID = (image: string): boolean => /^(sha256:)?[0-9a-f]{64}$/.test(image);
/** Without tag and digest. */
function nameOf(image: string): string {
  const reference = parseImageReference(image);
  return typeof reference === 'string' ? image : `${reference.registry}/${reference.repository}`;
}
function hashOf({ auth }: Credential): string {
  return createHash('sha256').update(JSON.stringify(Object.entries(auth).toSorted(([a], [b]) => (a < b ? -1 : 1)))).digest('hex');
}
const isSame = (a: RecordedOwner, b: CredentialOwner): boolean => a.uid === b.uid && a.namespace === b.namespace && a.name === b.name;
function isKnown(access: Access, credential: Credential): boolean {
  const owner = credential.owner!;
  if (owner.kind === 'serviceAccount') return access.kubernetesServiceAccounts?.some((s) => isSame(s, owner)) ?? false;
  const hash = hashOf(credential);
  return access.kubernetesSecrets?.some((s) => isSame(s, owner) || s.credentialHash === hash) ?? false;
}
/** What the node may use needs no list of those who may. */
function withCredential(access: Access, credential: Credential | undefined): Access {
  if (access.nodePodsAccessible || !credential?.owner) return { nodePodsAccessible: true };
  const { kind, uid, namespace, name } = credential.owner;
  const others = (list: readonly RecordedOwner[] = []): RecordedOwner[] => list.filter((s) => !isSame(s, credential.owner!));
  if (kind === 'serviceAccount') return { ...access, kubernetesServiceAccounts: [...others(access.kubernetesServiceAccounts), { uid, namespace, name }] };
  return { ...access, kubernetesSecrets: [...others(access.kubernetesSecrets), { uid, namespace, name, credentialHash: hashOf(credential) }] };
}
