/**
 * Keys and certificates for Pods (KEP-4317): for each `podCertificate` source a key that never leaves the node, and a
 * PodCertificateRequest that a signer answers. Upstream's counterpart: the kubelet's podcertificate manager.
 *
 * ```
 *   asking ──▶ waiting ──▶ fresh ──▶ refreshing ──▶ fresh …
 *                 └──────────┴─▶ denied, failed: for good
 * ```
 *
 * Nothing outlives the process: the next one asks anew, while Pods go on with the files that they have.
 */
import { generateKeyPair, type KeyObject } from 'node:crypto';
import type { PodCertificateRequest } from '#api/gen/certificates-v1beta1.ts';
import type { Node, Pod, PodCertificateProjection } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { Client } from '#client/client.ts';
import type { EventRecorder } from '#client/events.ts';
import { Informer } from '#client/informer.ts';
import { POD_CERTIFICATE_REQUESTS, SERVICE_ACCOUNTS } from '#client/kinds.ts';
import { Reconciler, type ReconcileResult } from '#client/reconciler.ts';
import { emptyCertificateRequest } from '#machinery/certificate-request.ts';
import { pemBlocks, pemText } from '#machinery/pem.ts';

const MINUTE_MS = 60_000;
/** A request that is not to be seen after this time was deleted, and is made again. */
const ABANDONED_MS = 10 * MINUTE_MS;
/** A refresh that is this late is told. */
const OVERDUE_MS = 10 * MINUTE_MS;
/** Pods that started together do not ask together. */
const JITTER_MS = 5 * MINUTE_MS;
const NOT_YET = 'credential bundle is not issued yet';

export interface CredentialBundle {
  /** PEM, PKCS #8. */
  readonly key: string;
  /** PEM, the leaf first. */
  readonly chain: string;
}
interface Issued extends CredentialBundle {
  readonly refreshAt: number;
  readonly notAfter: number;
  overdueTold: boolean;
  expiryTold: boolean;
}
/** A request under way: its key, its name, and when to give it up if it is not to be seen. */
interface Asked {
  readonly key: string;
  readonly request: string;
  readonly abandonAt: number;
}
/** Of one source of one Pod. `issued` with `asked` is a certificate that is being refreshed. */
interface Credential {
  readonly uid: string;
  readonly volume: string;
  readonly index: number;
  asked?: Asked | undefined;
  issued?: Issued | undefined;
  refused?: { readonly outcome: 'denied' | 'failed'; readonly message: string } | undefined;
}

const KEY_TYPES: Readonly<Record<string, readonly [type: string, options: object]>> = {
  RSA3072: ['rsa', { modulusLength: 3072 }], RSA4096: ['rsa', { modulusLength: 4096 }],
  ECDSAP256: ['ec', { namedCurve: 'prime256v1' }], ECDSAP384: ['ec', { namedCurve: 'secp384r1' }], ECDSAP521: ['ec', { namedCurve: 'secp521r1' }],
  ED25519: ['ed25519', {}],
};
async function newKey(keyType: string): Promise<KeyObject> {
  const [type, options] = KEY_TYPES[keyType] ?? [];
  if (!type) throw new Error(`while generating keypair: unknown key type ${JSON.stringify(keyType)}`);
  // Off the event loop: an RSA key takes seconds.
  return await new Promise((resolve, reject) => {
    generateKeyPair(type as 'rsa', options as { modulusLength: number }, (err, _, privateKey) => (err ? reject(err) : resolve(privateKey)));
  });
}

export interface PodCertificatesOptions {
  readonly nodeName: string;
  readonly client: Client;
  readonly clock: Clock;
  readonly recorder: EventRecorder;
  /** In [0, 1). */
  readonly random: () => number;
  /** The node's own object. */
  node(): Node | undefined;
  podOf(uid: string): Pod | undefined;
}

export class PodCertificates {
  readonly #o: PodCertificatesOptions;
  readonly #credentials = new Map<string, Credential>();
  readonly #reconciler: Reconciler;
  #requests: Informer<PodCertificateRequest> | undefined;
  #listener: (uid: string) => void = () => {};

  constructor(options: PodCertificatesOptions) {
    this.#o = options;
    this.#reconciler = new Reconciler({ name: 'podcertificate', clock: options.clock, logger: logger('kubelet'), reconcile: (key, signal) => this.#reconcile(key, signal) });
  }
  /** Called with the uid of each Pod for which something was issued or refused. */
  onChange(listener: (uid: string) => void): void {
    this.#listener = listener;
  }
  /** What is in force for a source of a Pod's volume. Throws until there is something, and for good when the signer refused; the first call asks for it. */
  bundle(pod: Pod, volume: string, index: number): CredentialBundle {
    const key = `${uidOf(pod)}/${volume}/${index}`;
    let credential = this.#credentials.get(key);
    if (!credential) {
      credential = { uid: uidOf(pod), volume, index };
      this.#credentials.set(key, credential);
      this.#requests ??= this.#watch();
      this.#reconciler.queue.add(key);
    }
    if (credential.refused) throw new Error(`PodCertificateRequest was permanently ${credential.refused.outcome}: ${credential.refused.message}`);
    if (!credential.issued) throw new Error(NOT_YET);
    return credential.issued;
  }
  forget(uid: string): void {
    for (const [key, credential] of this.#credentials) if (credential.uid === uid) this.#credentials.delete(key);
  }
  /** How many sources there are, by signer and state: for the metrics. */
  states(): { readonly signer: string; readonly state: string }[] {
    return Array.from(this.#credentials.values(), (credential) => ({ signer: this.#sourceOf(credential)?.source.signerName ?? '', state: stateOf(credential, this.#o.clock.now()) }));
  }
  async stop(): Promise<void> {
    await Promise.all([this.#requests?.stop(), this.#requests && this.#reconciler.stop()]);
  }

  #watch(): Informer<PodCertificateRequest> {
    const { client, clock, nodeName } = this.#o;
    const informer = new Informer(client, POD_CERTIFICATE_REQUESTS, clock, { fieldSelector: `spec.nodeName=${nodeName}` });
    const changed = ({ spec }: PodCertificateRequest): void => {
      for (const [key, { uid }] of this.#credentials) if (uid === spec.podUID) this.#reconciler.queue.add(key);
    };
    informer.addHandler({ onAdd: changed, onUpdate: (_, request) => changed(request), onDelete: changed });
    informer.start();
    void informer.synced.then(() => this.#reconciler.start());
    return informer;
  }
  #sourceOf({ uid, volume, index }: Credential): { readonly pod: Pod; readonly source: PodCertificateProjection } | undefined {
    const pod = this.#o.podOf(uid);
    const source = pod?.spec.volumes?.find((v) => v.name === volume)?.projected?.sources?.[index]?.podCertificate;
    return pod && source && { pod, source };
  }
  async #reconcile(key: string, signal: AbortSignal): Promise<ReconcileResult> {
    const credential = this.#credentials.get(key);
    const found = credential && this.#sourceOf(credential);
    if (!found || credential.refused) return undefined;
    const { clock } = this.#o;
    if (credential.asked) this.#takeAnswer(credential, found.pod);
    const { issued } = credential;
    if (issued && clock.now() < issued.refreshAt) return { afterMs: issued.refreshAt - clock.now() };
    if (credential.refused) return undefined;
    if (issued) this.#tellIfLate(issued, found.pod);
    if (!credential.asked) {
      const asked = await this.#ask(found.pod, found.source, signal);
      // The Pod may be gone meanwhile; its request goes with it.
      if (this.#credentials.get(key) === credential) credential.asked = asked;
      return { afterMs: ABANDONED_MS + JITTER_MS };
    }
    // A request that is there is waited for by its events; a late refresh is told at its time.
    const times = [credential.asked.abandonAt, ...(issued ? [issued.refreshAt + OVERDUE_MS, issued.notAfter] : [])].filter((at) => at > clock.now());
    return times.length ? { afterMs: Math.min(...times) - clock.now() + 1 } : undefined;
  }
  /** Moves on where the request was answered, or is gone. */
  #takeAnswer(credential: Credential, pod: Pod): void {
    const asked = credential.asked!;
    const { clock, recorder, random } = this.#o;
    const request = this.#requests!.get(namespaceOf(pod), asked.request);
    if (!request) {
      if (clock.now() > asked.abandonAt) credential.asked = undefined;
      return;
    }
    const answer = request.status?.conditions?.find((c) => ['Denied', 'Failed', 'Issued'].includes(c.type));
    if (!answer) return;
    credential.asked = undefined;
    const { certificateChain = '', beginRefreshAt = '', notAfter = '' } = request.status ?? {};
    if (answer.type === 'Issued') {
      const chain = pemBlocks(certificateChain).map(({ bytes }) => pemText('CERTIFICATE', bytes)).join('');
      credential.issued = { key: asked.key, chain, refreshAt: Date.parse(beginRefreshAt) + random() * JITTER_MS, notAfter: Date.parse(notAfter), overdueTold: false, expiryTold: false };
    } else {
      const outcome = answer.type === 'Denied' ? 'denied' : 'failed';
      const [reason, message] = [JSON.stringify(answer.reason), JSON.stringify(answer.message)];
      credential.refused = { outcome, message: `reason=${reason} message=${message}` };
      recorder.event(pod, 'Warning', answer.type, `PodCertificateRequest ${namespaceOf(pod)}/${asked.request} ${outcome === 'denied' ? 'was denied' : 'failed'}, reason=${reason}, message=${message}`);
    }
    this.#listener(credential.uid);
  }
  #tellIfLate(issued: Issued, pod: Pod): void {
    const now = this.#o.clock.now();
    if (!issued.overdueTold && now > issued.refreshAt + OVERDUE_MS) {
      issued.overdueTold = true;
      this.#o.recorder.event(pod, 'Warning', 'CertificateOverdueForRefresh', 'PodCertificate refresh overdue');
    }
    if (!issued.expiryTold && now > issued.notAfter) {
      issued.expiryTold = true;
      this.#o.recorder.event(pod, 'Warning', 'CertificateExpired', 'PodCertificate expired');
    }
  }
  async #ask(pod: Pod, source: PodCertificateProjection, signal: AbortSignal): Promise<Asked> {
    const { client, clock, nodeName, node, random } = this.#o;
    const namespace = namespaceOf(pod);
    const serviceAccountName = pod.spec.serviceAccountName || 'default';
    const account = await client.of(SERVICE_ACCOUNTS).get(namespace, serviceAccountName, signal);
    const privateKey = await newKey(source.keyType);
    const request = await client.of(POD_CERTIFICATE_REQUESTS).create({
      metadata: { namespace, generateName: 'req-', ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: nameOf(pod), uid: uidOf(pod) }] },
      spec: {
        signerName: source.signerName, podName: nameOf(pod), podUID: uidOf(pod), serviceAccountName, serviceAccountUID: uidOf(account), nodeName, nodeUID: node()?.metadata.uid ?? '',
        maxExpirationSeconds: source.maxExpirationSeconds, stubPKCS10Request: emptyCertificateRequest(privateKey).toString('base64'), unverifiedUserAnnotations: source.userAnnotations,
      },
    }, { signal });
    return { key: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(), request: nameOf(request), abandonAt: clock.now() + ABANDONED_MS + random() * JITTER_MS };
  }
}
function stateOf({ refused, issued }: Credential, now: number): string {
  if (refused) return refused.outcome;
  if (!issued) return 'not_yet_issued';
  if (now > issued.notAfter) return 'expired';
  return now > issued.refreshAt + OVERDUE_MS ? 'overdue_for_refresh' : 'fresh';
}
