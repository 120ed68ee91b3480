/**
 * A small operator, written as one would for any cluster: it watches the custom kind Site, keeps a Deployment for each, tells in the
 * Site's status how far that is, and tidies up behind a finalizer. It knows the cluster by the official client alone.
 */
import { ApiException, AppsV1Api, CustomObjectsApi, makeInformer, PatchStrategy, setHeaderOptions, type Informer, type KubeConfig, type KubernetesObject, type ObjectCache, type V1Deployment } from '@kubernetes/client-node';

export interface Site extends KubernetesObject {
  readonly spec: { readonly page: string; readonly replicas: number };
  readonly status?: { readonly readyReplicas?: number; readonly phase?: string; readonly observedGeneration?: number };
}

const KIND = { group: 'clients.example.com', version: 'v1', plural: 'sites' } as const;
const FINALIZER = 'clients.example.com/tidy';
const LABEL = 'clients.example.com/site';
const MANAGER = 'site-operator';
const MERGE = setHeaderOptions('Content-Type', PatchStrategy.MergePatch);
const APPLY = setHeaderOptions('Content-Type', PatchStrategy.ServerSideApply);

export const SITE_DEFINITION = {
  apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name: `${KIND.plural}.${KIND.group}` },
  spec: {
    group: KIND.group, scope: 'Namespaced', names: { plural: KIND.plural, singular: 'site', kind: 'Site', shortNames: ['st'] },
    versions: [{
      name: KIND.version, served: true, storage: true,
      subresources: { status: {}, scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.readyReplicas' } },
      additionalPrinterColumns: [{ name: 'Wanted', type: 'integer', jsonPath: '.spec.replicas' }, { name: 'Ready', type: 'integer', jsonPath: '.status.readyReplicas' }, { name: 'Phase', type: 'string', jsonPath: '.status.phase' }],
      schema: { openAPIV3Schema: { type: 'object', required: ['spec'], properties: {
        spec: {
          type: 'object', required: ['page'], properties: { page: { type: 'string', maxLength: 100 }, replicas: { type: 'integer', default: 1, minimum: 0 } },
          'x-kubernetes-validations': [{ rule: "self.replicas < 5 || self.page.contains('popular')", message: 'only popular pages may have many replicas' }],
        },
        status: { type: 'object', properties: { readyReplicas: { type: 'integer' }, phase: { type: 'string' }, observedGeneration: { type: 'integer' } } },
      } } },
    }],
  },
} as const;

export class SiteOperator {
  /** Names of Sites that were tidied up. */
  readonly tidied: string[] = [];
  readonly #custom: CustomObjectsApi;
  readonly #apps: AppsV1Api;
  readonly #sites: Informer<Site> & ObjectCache<Site>;
  readonly #deployments: Informer<V1Deployment> & ObjectCache<V1Deployment>;
  readonly #fail: (err: unknown) => void;
  /** One reconcile after another. */
  #work: Promise<void> = Promise.resolve();

  /** `fail` is told of what the operator cannot cope with. */
  constructor(config: KubeConfig, namespace: string, fail: (err: unknown) => void) {
    this.#fail = fail;
    this.#custom = config.makeApiClient(CustomObjectsApi);
    this.#apps = config.makeApiClient(AppsV1Api);
    this.#sites = makeInformer<Site>(config, `/apis/${KIND.group}/${KIND.version}/namespaces/${namespace}/${KIND.plural}`, async () => (await this.#custom.listNamespacedCustomObject({ ...KIND, namespace })) as { items: Site[] });
    this.#deployments = makeInformer<V1Deployment>(config, `/apis/apps/v1/namespaces/${namespace}/deployments`, () => this.#apps.listNamespacedDeployment({ namespace, labelSelector: LABEL }), LABEL);
    for (const event of ['add', 'update'] as const) this.#sites.on(event, (site) => this.#queue(site.metadata?.name));
    for (const event of ['add', 'update', 'delete'] as const) this.#deployments.on(event, (d) => this.#queue(d.metadata?.labels?.[LABEL]));
    for (const informer of [this.#sites, this.#deployments]) informer.on('error', fail);
  }
  async start(): Promise<void> {
    await this.#deployments.start();
    await this.#sites.start();
  }
  async stop(): Promise<void> {
    await this.#sites.stop();
    await this.#deployments.stop();
    await this.#work;
  }

  #queue(name: string | undefined): void {
    const site = this.#sites.list().find((s) => s.metadata?.name === name);
    if (site) this.#work = this.#work.then(() => this.#reconcile(this.#sites.get(site.metadata!.name!, site.metadata!.namespace) ?? site)).catch((err: unknown) => { if (!isOutdated(err)) this.#fail(err); });
  }
  async #reconcile(site: Site): Promise<void> {
    const { name = '', namespace = '', finalizers = [], deletionTimestamp, generation = 0, resourceVersion } = site.metadata ?? {};
    const at = { ...KIND, namespace, name };
    if (deletionTimestamp) {
      if (!finalizers.includes(FINALIZER)) return;
      await this.#custom.patchNamespacedCustomObject({ ...at, body: { metadata: { resourceVersion, finalizers: finalizers.filter((f) => f !== FINALIZER) } } }, MERGE);
      this.tidied.push(name);
      return;
    }
    if (!finalizers.includes(FINALIZER)) await this.#custom.patchNamespacedCustomObject({ ...at, body: { metadata: { finalizers: [...finalizers, FINALIZER] } } }, MERGE);
    const deployment = await this.#apps.patchNamespacedDeployment({ name, namespace, body: deploymentOf(site), fieldManager: MANAGER, force: true }, APPLY);
    const readyReplicas = deployment.status?.readyReplicas ?? 0;
    const phase = readyReplicas === site.spec.replicas ? 'Served' : 'Progressing';
    const { status } = site;
    if (status?.readyReplicas === readyReplicas && status.phase === phase && status.observedGeneration === generation) return;
    await this.#custom.patchNamespacedCustomObjectStatus({ ...at, body: { status: { readyReplicas, phase, observedGeneration: generation } } }, MERGE);
  }
}

/** The Site has changed, or gone, since the watch told of it: what comes next by the watch decides. */
function isOutdated(err: unknown): boolean {
  return err instanceof ApiException && (err.code === 404 || err.code === 409);
}
function deploymentOf(site: Site): V1Deployment {
  const { name = '', uid = '' } = site.metadata ?? {};
  const labels = { [LABEL]: name };
  return {
    apiVersion: 'apps/v1', kind: 'Deployment',
    metadata: { name, labels, ownerReferences: [{ apiVersion: `${KIND.group}/${KIND.version}`, kind: 'Site', name, uid, controller: true, blockOwnerDeletion: true }] },
    spec: {
      replicas: site.spec.replicas, selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 0,
          containers: [{ name: 'web', image: 'busybox:1.37', env: [{ name: 'PAGE', value: site.spec.page }], command: ['sh', '-c', 'mkdir /www; echo "$PAGE" > /www/index.html; exec httpd -f -p 8080 -h /www'], readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 } }],
        },
      },
    },
  };
}
