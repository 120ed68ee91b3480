import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import { tryCreate, tryUpdate } from '../trial.ts';
import { pods } from './pods.ts';

type Spec = Record<string, unknown>;
const pod = (spec: Spec, metadata: object = {}) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', namespace: 'default', ...metadata }, spec });
const container = (more: Spec = {}) => ({ name: 'app', image: 'nginx:1.28', ...more });
const errorsOf = (spec: Spec, metadata?: object) => tryCreate(pods, pod(spec, metadata)).errors;
const withContainer = (more: Spec, spec: Spec = {}) => errorsOf({ containers: [container(more)], ...spec });

test('pods gets every default that upstream sets', () => {
  const { object, errors } = tryCreate(pods, pod({
    containers: [{ name: 'app', image: 'nginx', ports: [{ containerPort: 80 }], livenessProbe: { httpGet: { port: 80 } }, resources: { limits: { cpu: '1' } }, env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }] }],
    volumes: [{ name: 'a' }, { name: 'b', secret: { secretName: 's' } }, { name: 'c', hostPath: { path: '/x' } }],
  }));
  assert.deepEqual(errors, []);
  assert.deepEqual(object['spec'], {
    containers: [{
      name: 'app', image: 'nginx', ports: [{ containerPort: 80, protocol: 'TCP' }],
      livenessProbe: { httpGet: { port: 80, path: '/', scheme: 'HTTP' }, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 },
      resources: { limits: { cpu: '1' }, requests: { cpu: '1' } }, env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name', apiVersion: 'v1' } } }],
      imagePullPolicy: 'Always', terminationMessagePath: '/dev/termination-log', terminationMessagePolicy: 'File',
    }],
    volumes: [{ name: 'a', emptyDir: {} }, { name: 'b', secret: { secretName: 's', defaultMode: 420 } }, { name: 'c', hostPath: { path: '/x', type: '' } }],
    dnsPolicy: 'ClusterFirst', restartPolicy: 'Always', securityContext: {}, terminationGracePeriodSeconds: 30, schedulerName: 'default-scheduler', enableServiceLinks: true,
  });
  assert.deepEqual(object['status'], { phase: 'Pending', qosClass: 'Burstable' });
});
test('pods gives container ports the host ports on the host network', () => {
  const { object } = tryCreate(pods, pod({ hostNetwork: true, containers: [container({ ports: [{ containerPort: 80 }] })] }));
  assert.equal((object as unknown as Pod).spec.containers[0]!.ports![0]!.hostPort, 80);
});
test('pods takes AppArmor profiles from annotations', () => {
  const fieldOf = (text: string, spec: Spec = {}) => {
    const { object, warnings } = tryCreate(pods, pod({ containers: [container()], ...spec }, { annotations: { 'container.apparmor.security.beta.kubernetes.io/app': text } }));
    return [(object as unknown as Pod).spec.containers[0]!.securityContext?.appArmorProfile, new Set(warnings).size];
  };
  assert.deepEqual(fieldOf('runtime/default'), [{ type: 'RuntimeDefault' }, 1]);
  assert.deepEqual(fieldOf('unconfined'), [{ type: 'Unconfined' }, 1]);
  assert.deepEqual(fieldOf('localhost/mine'), [{ type: 'Localhost', localhostProfile: 'mine' }, 1]);
  assert.deepEqual(fieldOf('localhost/'), [undefined, 1], 'what the field could not hold stays where it is');
  assert.deepEqual(fieldOf('unconfined', { securityContext: { appArmorProfile: { type: 'Unconfined' } } }), [undefined, 0], 'the Pod says it already');
  assert.deepEqual(fieldOf('unconfined', { containers: [container({ securityContext: { appArmorProfile: { type: 'RuntimeDefault' } } })] }), [{ type: 'RuntimeDefault' }, 0]);
});
test('pods is Guaranteed only where as much is asked for as is allowed', () => {
  const classOf = (requests: Spec, limits: Spec, spec: Spec = {}) => ((tryCreate(pods, pod({ containers: [container({ resources: { requests, limits } })], ...spec })).object as unknown as Pod).status as { qosClass?: string }).qosClass;
  const one = { cpu: '1', memory: '1Gi' };
  assert.equal(classOf({}, one), 'Guaranteed');
  assert.equal(classOf({ cpu: '0' }, one), 'Burstable');
  assert.equal(classOf({ memory: '1Mi' }, one), 'Burstable');
  assert.equal(classOf({ cpu: '1n', memory: '100u' }, { cpu: '100u', memory: '1n' }), 'Guaranteed', 'amounts are kept in whole millis');
  assert.equal(classOf(one, one, { resources: {} }), 'BestEffort', 'what is said of the whole Pod counts alone');
});
test('pods names what a container lacks', () => {
  assert.deepEqual(errorsOf({}), ['spec.containers: Required value']);
  assert.deepEqual(errorsOf({ containers: [{}] }), ['spec.containers[0].name: Required value', 'spec.containers[0].image: Required value']);
  assert.deepEqual(errorsOf({ containers: [container(), container()] }), ['spec.containers[1].name: Duplicate value: "app"']);
  assert.deepEqual(errorsOf({ containers: [container({ name: 'App_1', image: ' nginx' })] }), [
    'spec.containers[0].name: Invalid value: "App_1": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or \'-\', and must start and end with an alphanumeric character (e.g. \'my-name\',  or \'123-abc\', regex used for validation is \'[a-z0-9]([-a-z0-9]*[a-z0-9])?\')',
    'spec.containers[0].image: Invalid value: " nginx": must not have leading or trailing whitespace',
  ]);
});
test('pods refuses unknown policies with the supported ones', () => {
  assert.deepEqual(withContainer({ imagePullPolicy: 'Sometimes' }, { restartPolicy: 'Maybe', dnsPolicy: 'Never' }), [
    'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"',
    'spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Never"',
    'spec.dnsPolicy: Unsupported value: "Never": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"',
  ]);
});
test('pods refuses mounts of volumes that are missing or broken', () => {
  assert.deepEqual(withContainer({ volumeMounts: [{ name: 'data', mountPath: '/data' }] }), ['spec.containers[0].volumeMounts[0].name: Not found: "data"']);
  assert.deepEqual(withContainer({ volumeMounts: [{ name: 'data', mountPath: '/a' }, { name: 'data', mountPath: '/a' }] }, { volumes: [{ name: 'data' }, { name: 'data' }] }), [
    'spec.volumes[1].name: Duplicate value: "data"',
    'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique',
  ]);
  assert.deepEqual(withContainer({}, { volumes: [{ name: 'v', emptyDir: {}, hostPath: { path: '/x', type: '' } }, { name: 's', secret: {} }, { name: 'p', hostPath: { path: '/a/../b' } }] }), [
    'spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type',
    'spec.volumes[1].secret.secretName: Required value',
    'spec.volumes[2].hostPath.path: Invalid value: "/a/../b": must not contain \'..\'',
  ]);
});
test('pods checks projected sources', () => {
  const sources = [{ serviceAccountToken: { path: 'token', expirationSeconds: 60 } }, { configMap: { name: 'a', items: [{ key: 'k', path: 'x' }] } }, { secret: { name: 'b', items: [{ key: 'k', path: 'x' }] } }];
  assert.deepEqual(withContainer({}, { serviceAccountName: 'sa', volumes: [{ name: 'v', projected: { sources } }] }), [
    'spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes',
    'spec.volumes[0].projected: Invalid value: "b": conflicting duplicate paths',
  ]);
});
test('pods checks the environment', () => {
  assert.deepEqual(withContainer({ env: [{ name: '' }, { name: 'a=b', value: 'x' }, { name: 'C', valueFrom: {} }, { name: 'D', value: 'x', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }, { name: 'E', valueFrom: { fieldRef: { fieldPath: 'spec.hostname' } } }] }), [
    'spec.containers[0].env[0].name: Required value',
    "spec.containers[0].env[1].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='",
    'spec.containers[0].env[2].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`',
    'spec.containers[0].env[3].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
    'spec.containers[0].env[4].valueFrom.fieldRef.fieldPath: Invalid value: "spec.hostname": error converting fieldPath: field label not supported: spec.hostname',
  ]);
});
test('pods checks probes and hooks', () => {
  assert.deepEqual(withContainer({ livenessProbe: { exec: { command: ['a'] }, tcpSocket: { port: 80 }, successThreshold: 2 }, readinessProbe: { httpGet: { port: 'no_port' } }, lifecycle: { preStop: { sleep: { seconds: 60 } } } }), [
    'spec.containers[0].lifecycle.preStop.sleep: Invalid value: 60: must be non-negative and less than terminationGracePeriodSeconds (30)',
    'spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type',
    'spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1',
    'spec.containers[0].readinessProbe.httpGet.port: Invalid value: "no_port": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
  ]);
});
test('pods keeps requests within limits', () => {
  assert.deepEqual(withContainer({ resources: { limits: { cpu: '1', memory: '64Mi' }, requests: { cpu: '2', memory: '32Mi' } } }), [
    'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
  ]);
  assert.deepEqual(withContainer({ resources: { requests: { 'example.com/gpu': '1500m', storage: '1', cpu: '-1' } } }), [
    'spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0',
    'spec.containers[0].resources.requests[example.com/gpu]: Invalid value: "1500m": must be an integer',
    'spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources',
    'spec.containers[0].resources.requests[storage]: Invalid value: "storage": must be a standard resource for containers',
  ]);
});
test('pods checks ports within and across containers', () => {
  const ports = [{ name: 'http', containerPort: 80, hostPort: 8080 }, { name: 'http', containerPort: 0 }, { containerPort: 70000, protocol: 'X' }];
  assert.deepEqual(errorsOf({ containers: [container({ ports }), container({ name: 'b', ports: [{ containerPort: 81, hostPort: 8080 }] })] }), [
    'spec.containers[0].ports[1].name: Duplicate value: "http"',
    'spec.containers[0].ports[1].containerPort: Required value',
    'spec.containers[0].ports[2].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive',
    'spec.containers[0].ports[2].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
    'spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//8080"',
  ]);
});
test('pods checks init containers and sidecars', () => {
  const probe = { exec: { command: ['true'] } };
  assert.deepEqual(errorsOf({ containers: [container()], initContainers: [container({ name: 'i', livenessProbe: probe }), container({ name: 's', restartPolicy: 'Always', livenessProbe: probe }), container()] }), [
    'spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always',
    'spec.initContainers[2].name: Duplicate value: "app"',
  ]);
  assert.deepEqual(withContainer({ restartPolicyRules: [{ action: 'Restart' }] }), [
    'spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used',
    'spec.containers[0].restartPolicyRules[0].exitCodes: Required value: must be specified',
  ]);
});
test('pods checks security contexts', () => {
  const errors = withContainer({ securityContext: { runAsUser: -1, privileged: true, allowPrivilegeEscalation: false, seccompProfile: { type: 'Localhost' } } }, { securityContext: { sysctls: [{ name: 'net.core.somaxconn', value: '1' }], fsGroup: -5 }, hostNetwork: true });
  assert.deepEqual(errors.map((e) => e.replace(/\{.*\}/, '{…}')), [
    'spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive',
    'spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost',
    'spec.containers[0].securityContext: Invalid value: {…}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true',
    'spec.securityContext.fsGroup: Invalid value: -5: must be between 0 and 2147483647, inclusive',
    'spec.securityContext.sysctls[0].name: Invalid value: "net.core.somaxconn": may not be specified when \'hostNetwork\' is true',
  ]);
});
test('pods checks affinity, tolerations and spread', () => {
  assert.deepEqual(withContainer({}, {
    affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } }, podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 101, podAffinityTerm: { topologyKey: 'zone' } }] } },
    tolerations: [{ operator: 'Equal', tolerationSeconds: 5 }],
    topologySpreadConstraints: [{ maxSkew: 0, topologyKey: '', whenUnsatisfiable: 'Never' }],
  }), [
    'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term',
    'spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 101: must be in the range 1-100',
    'spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero',
    'spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty',
    'spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "Never": supported values: "DoNotSchedule", "ScheduleAnyway"',
    'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"',
    "spec.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
  ]);
});
test('pods checks names and addresses', () => {
  assert.deepEqual(withContainer({}, { dnsPolicy: 'None', hostAliases: [{ ip: '1.2.3', hostnames: ['a'] }], hostUsers: false, hostPID: true, activeDeadlineSeconds: 0 }), [
    'spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None',
    'spec.HostPID: Forbidden: when `hostUsers` is false',
    'spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive',
    'spec.hostAliases[0].ip: Invalid value: "1.2.3": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
  ]);
});
test('pods refuses what creation may not set', () => {
  assert.deepEqual(withContainer({}, { nodeName: 'n', schedulingGates: [{ name: 'a/b' }], ephemeralContainers: [container({ name: 'e' })], volumes: [{ name: 't', projected: { sources: [{ serviceAccountToken: { path: 't' } }] } }] }), [
    'spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set',
    'spec.ephemeralContainers: Forbidden: cannot be set on create',
    'spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared',
  ]);
});
test('pods writes labels of its own into selectors by matchLabelKeys', () => {
  const term = { topologyKey: 'zone', labelSelector: { matchLabels: { app: 'web' } }, matchLabelKeys: ['hash'] };
  const { object, errors } = tryCreate(pods, pod({ containers: [container()], affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } }, { labels: { hash: 'x1' } }));
  assert.deepEqual(errors, []);
  const added = (object as unknown as Pod).spec.affinity!.podAffinity!.requiredDuringSchedulingIgnoredDuringExecution![0]!;
  assert.deepEqual(added.labelSelector!.matchExpressions, [{ key: 'hash', operator: 'In', values: ['x1'] }]);
});

const specOf = (object: unknown) => (object as { spec: Spec & { containers: Spec[] } }).spec;
const running = pod({ containers: [container({ resources: { requests: { cpu: '100m' } } })], nodeName: 'n1' });

test('pods updates its image and adds tolerations', () => {
  const { errors } = tryUpdate(pods, running, (p) => {
    specOf(p).containers[0]!['image'] = 'nginx:1.29';
    specOf(p)['tolerations'] = [{ key: 'a', operator: 'Exists' }];
  });
  assert.deepEqual(errors, []);
});
test('pods fills in requests of its own, and no limits but those of huge pages', () => {
  const resources = (own: Spec, ofContainer: Spec) => (tryCreate(pods, pod({ resources: own, containers: [container({ resources: ofContainer })] })).object as unknown as Pod).spec.resources;
  assert.deepEqual(resources({ requests: { cpu: '4m' } }, { requests: { cpu: '2m' }, limits: { cpu: '10m' } }), { requests: { cpu: '4m' } });
  assert.deepEqual(resources({ limits: { memory: '1Gi' } }, { requests: { cpu: '2m' } }), { limits: { memory: '1Gi' }, requests: { cpu: '2m', memory: '1Gi' } });
  assert.deepEqual(resources({ limits: { cpu: '1' } }, { limits: { 'hugepages-2Mi': '4Mi', cpu: '1', memory: '1Mi' } })!.limits, { cpu: '1', 'hugepages-2Mi': '4Mi' });
});
test('pods takes a negative grace period for one second', () => {
  const { object } = tryCreate(pods, pod({ containers: [container()], terminationGracePeriodSeconds: -1 }));
  assert.equal((object as unknown as Pod).spec.terminationGracePeriodSeconds, 1);
});
test('pods shows the diff of what an update may not change', () => {
  const { errors } = tryUpdate(pods, running, (p) => (specOf(p).containers[0]!['command'] = ['sleep', '1']));
  assert.equal(errors.length, 1);
  assert.ok(errors[0]!.startsWith('spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n@@ -'), errors[0]!);
  assert.ok(errors[0]!.includes('-   "Command": null,\n+   "Command": [\n+    "sleep",\n+    "1"\n+   ],\n'), errors[0]!);
});
test('pods updates neither number of containers nor deadline upwards', () => {
  assert.deepEqual(tryUpdate(pods, running, (p) => specOf(p).containers.push({ ...container({ name: 'b' }) })).errors, ['spec.containers: Forbidden: pod updates may not add or remove containers']);
  const limited = pod({ containers: [container()], activeDeadlineSeconds: 10 });
  assert.deepEqual(tryUpdate(pods, limited, (p) => (specOf(p)['activeDeadlineSeconds'] = 20)).errors, ['spec.activeDeadlineSeconds: Invalid value: 20: must be less than or equal to previous value']);
  assert.deepEqual(tryUpdate(pods, limited, (p) => (specOf(p)['activeDeadlineSeconds'] = 5)).errors, []);
});
test('pods behind gates may have their node selector narrowed', () => {
  const gated = pod({ containers: [container()], schedulingGates: [{ name: 'a/b' }], nodeSelector: { a: '1' } });
  assert.deepEqual(tryUpdate(pods, gated, (p) => (specOf(p)['nodeSelector'] = { a: '1', b: '2' })).errors, []);
  assert.deepEqual(tryUpdate(pods, gated, (p) => (specOf(p)['nodeSelector'] = { b: '2' })).errors, [
    'spec.nodeSelector: Invalid value: {"b":"2"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)',
  ]);
  assert.deepEqual(tryUpdate(pods, gated, (p) => (specOf(p)['schedulingGates'] = [{ name: 'c/d' }])).errors, ["spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'c/d'"]);
});
test('pods takes ephemeral containers through their subresource alone', () => {
  const debug = container({ name: 'debug', targetContainerName: 'app' });
  const added = tryUpdate(pods, running, (p) => (specOf(p)['ephemeralContainers'] = [debug]), 'ephemeralcontainers');
  assert.deepEqual(added.errors, []);
  assert.equal((added.object as unknown as Pod).spec.ephemeralContainers!.length, 1);
  const direct = tryUpdate(pods, running, (p) => void (specOf(p)['ephemeralContainers'] = [debug]));
  assert.deepEqual([direct.errors, (direct.object as unknown as Pod).spec.ephemeralContainers], [[], undefined]);
  const wrong = tryUpdate(pods, running, (p) => (specOf(p)['ephemeralContainers'] = [{ ...debug, ports: [{ containerPort: 1 }], targetContainerName: 'x' }]), 'ephemeralcontainers');
  assert.deepEqual(wrong.errors, ['spec.ephemeralContainers[0].targetContainerName: Not found: "x"', 'spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container']);
});
test('pods resizes cpu and memory within its QoS class', () => {
  const resized = tryUpdate(pods, running, (p) => (specOf(p).containers[0]!['resources'] = { requests: { cpu: '200m' } }), 'resize');
  assert.deepEqual(resized.errors, []);
  assert.deepEqual((resized.object as unknown as Pod).spec.containers[0]!.resources, { requests: { cpu: '200m' } });
  const removed = tryUpdate(pods, running, (p) => (specOf(p).containers[0]!['resources'] = {}), 'resize');
  assert.deepEqual(removed.errors, ['spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing', 'spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed']);
  const other = tryUpdate(pods, running, (p) => (specOf(p).containers[0]!['resources'] = { requests: { cpu: '100m', 'ephemeral-storage': '1Gi' } }), 'resize');
  assert.deepEqual(other.errors, ['spec: Forbidden: only cpu and memory resources are mutable']);
});
test('pods resizes init containers and its own resources; neither containers nor their policies change with that', () => {
  const amount = (cpu: string) => ({ requests: { cpu } });
  const never = [{ resourceName: 'cpu', restartPolicy: 'NotRequired' }];
  const old = tryCreate(pods, pod({ resources: amount('2'), containers: [container({ resources: amount('100m'), resizePolicy: never })], initContainers: [container({ name: 'init', resources: amount('100m') })] })).object;
  const errorsWith = (change: (spec: Record<'containers' | 'initContainers', Spec[]> & Spec) => void, before = old) => tryUpdate(pods, before, (p) => change(specOf(p) as Parameters<typeof change>[0]), 'resize').errors;
  assert.deepEqual(errorsWith((spec) => {
    spec['resources'] = amount('3');
    spec.initContainers[0]!['resources'] = amount('200m');
    spec.containers[0]!['resources'] = amount('50m');
  }), []);
  assert.deepEqual(errorsWith((spec) => delete spec['resources']), ['spec.resources: Forbidden: pod-level resources cannot be removed']);
  assert.deepEqual(errorsWith((spec) => (spec['resources'] = { requests: { memory: '1Gi' } })).slice(0, 1), ['spec.resources.requests: Forbidden: pod-level resource requests cannot be removed']);
  assert.deepEqual(errorsWith((spec) => spec.containers.push(container({ name: 'more' }))), ['spec.containers: Forbidden: containers may not be added or removed on resize']);
  assert.deepEqual(errorsWith((spec) => (spec.initContainers[0]!['name'] = 'other')), ['spec.initContainers[0].name: Forbidden: initContainers may not be renamed or reordered on resize']);
  assert.deepEqual(errorsWith((spec) => delete spec.containers[0]!['resizePolicy']), ['spec: Forbidden: only cpu and memory resources are mutable']);
  const restarts = tryCreate(pods, pod({ containers: [container()], initContainers: [container({ name: 'init', resources: amount('100m'), resizePolicy: [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }] })] })).object;
  assert.deepEqual(errorsWith((spec) => (spec.initContainers[0]!['resources'] = amount('200m')), restarts), ['spec.initContainers[0]: Forbidden: non-sidecar init containers with a resize policy of RestartContainer cannot be resized']);
});
test('pods lets an ended container run again where its policy or its rules say so, and any where a rule restarts them all', () => {
  const verdict = (own: Spec, exitCode: number, others: Spec[] = []) => {
    const object = tryCreate(pods, pod({ containers: [{ ...container(), ...own }, ...others], restartPolicy: 'Never' })).object;
    const status = (state: object) => ({ ...object, status: { containerStatuses: [{ name: 'app', state }] } }) as never;
    return pods.validateStatusUpdate!(status({ running: {} }), status({ terminated: { exitCode } }), {} as never).length === 0;
  };
  const rules = (action: 'Restart' | 'RestartAllContainers') => ({ restartPolicy: 'Never', restartPolicyRules: [{ action, exitCodes: { operator: 'In', values: [42] } }] });
  assert.deepEqual([verdict({}, 1), verdict({ restartPolicy: 'OnFailure' }, 1), verdict({ restartPolicy: 'OnFailure' }, 0), verdict({ restartPolicy: 'Never' }, 1)], [false, true, false, false]);
  assert.deepEqual([verdict(rules('Restart'), 42), verdict(rules('Restart'), 1)], [true, false]);
  assert.equal(verdict({}, 0, [{ ...container({ name: 'source' }), ...rules('RestartAllContainers') }]), true);
});
test('pods keeps ended containers ended and its QoS class', () => {
  const never = pod({ containers: [container()], restartPolicy: 'Never' });
  const { validateStatusUpdate } = pods;
  const before = { ...tryCreate(pods, never).object, status: { qosClass: 'BestEffort', containerStatuses: [{ name: 'app', state: { terminated: { exitCode: 1 } } }] } };
  const after = { ...before, status: { qosClass: 'Burstable', containerStatuses: [{ name: 'app', state: { running: {} } }], podIPs: [{ ip: 'x' }] } };
  assert.deepEqual(validateStatusUpdate!(after as never, before as never, {} as never).map((e) => `${e.field}: ${e.body}`), [
    'status.qosClass: Invalid value: "Burstable": field is immutable',
    'status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state',
    'status.podIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
  ]);
});
test('pods waits for its grace period only on a node and before its end', () => {
  const grace = (spec: Spec, phase: string, requested?: number) => pods.gracePeriod!({ metadata: {}, spec, status: { phase } } as never, requested);
  assert.deepEqual(
    [grace({ nodeName: 'n', terminationGracePeriodSeconds: 30 }, 'Running'), grace({ nodeName: 'n', terminationGracePeriodSeconds: 30 }, 'Running', 5), grace({ terminationGracePeriodSeconds: 30 }, 'Pending'), grace({ nodeName: 'n', terminationGracePeriodSeconds: 30 }, 'Succeeded'), grace({ nodeName: 'n', terminationGracePeriodSeconds: -3 }, 'Running')],
    [30, 5, 0, 0, 1],
  );
});
