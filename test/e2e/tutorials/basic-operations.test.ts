/** The tutorial on basic operations with a Pod (nginx-ser, curl, httpd), typed as its reader would; images come from a registry. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import type { TestCluster } from '../harness/cluster.ts';
import { waitForPod, waitForPodGone, waitForReady } from '../harness/conditions.ts';
import { assertOutput, tableRows } from '../harness/mask.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster({ served: ['docker.io/library/nginx:latest', 'docker.io/library/nginx:1.21', 'docker.io/library/httpd:latest', 'docker.io/curlimages/curl:latest'] });

const DRY_RUN = `apiVersion: v1
kind: Pod
metadata:
  labels:
    run: nginx-ser
  name: nginx-ser
spec:
  containers:
  - image: nginx
    name: nginx-ser
    resources: {}
  dnsPolicy: ClusterFirst
  restartPolicy: Never
status: {}
`;
/** As the reader cut it down. */
const POD_YAML = `apiVersion: v1
kind: Pod
metadata:
  labels:
    run: nginx-ser
  name: nginx-ser
spec:
  containers:
  - image: nginx
    name: nginx-ser
`;

/** What kubectl shows of a curl Pod that takes some milliseconds: all of it, however late kubectl attaches. */
async function curlOnce(c: TestCluster, command: string, page: RegExp): Promise<string> {
  await using curl = c.terminal(command, { timeoutMs: 90_000 });
  assert.equal((await curl.ended).code, 0, curl.stdout);
  assert.match(curl.stdout, page);
  return curl.stdout;
}

test('a dry run writes the manifest, with the restart policy that was asked for', async (c) => {
  const command = 'kubectl run nginx-ser --image nginx --restart=Never --dry-run=client -o yaml';
  assert.equal((await c.shell(command)).stdout, DRY_RUN);
  await c.shell(`${command} > pod.yaml`);
  assert.equal(await readFile(`${c.files}/pod.yaml`, 'utf8'), DRY_RUN);
  assert.equal((await c.shell('kubectl get pods')).stderr, 'No resources found in default namespace.\n');
});

test('apply pulls the image; get, wide, yaml, json, describe and logs show the Pod', async (c) => {
  await c.file('pod.yaml', POD_YAML);
  assert.equal((await c.shell('kubectl apply -f pod.yaml')).stdout, 'pod/nginx-ser created\n');
  await waitForReady(c, 'nginx-ser');
  assertOutput((await c.shell('kubectl get pods')).stdout, `
NAME        READY   STATUS    RESTARTS   AGE
nginx-ser   1/1     Running   0          14m`);
  assertOutput((await c.shell('kubectl get pods -o wide')).stdout, `
NAME        READY   STATUS    RESTARTS   AGE    IP           NODE     NOMINATED NODE   READINESS GATES
nginx-ser   1/1     Running   0          6h4m   10.42.0.12   node01   <none>           <none>`);
  assert.match((await c.shell('kubectl get pods -o yaml')).stdout, /^apiVersion: v1\nitems:\n- apiVersion: v1\n {2}kind: Pod\n[^]*^kind: List\nmetadata:\n {2}resourceVersion: ""\n$/m);
  const { items } = JSON.parse((await c.shell('kubectl get pods -o json')).stdout) as { items: { metadata: { name: string } }[] };
  assert.deepEqual(items.map((i) => i.metadata.name), ['nginx-ser']);
  assertOutput((await c.shell('kubectl describe pods nginx-ser')).stdout, `
Name:             nginx-ser
Namespace:        default
Priority:         0
Service Account:  default
Node:             node01/192.0.2.2
Start Time:       Sun, 21 Mar 2021 12:42:17 +0100
Labels:           run=nginx-ser
Annotations:      <none>
Status:           Running
IP:               10.42.0.12
IPs:
  IP:  10.42.0.12
Containers:
  nginx-ser:
    Container ID:   containerd://34b8f75b1f3b3ad891791198409cf25412e6bbc18468a2706aa441ee9001a41c
    Image:          nginx
    Image ID:       docker.io/library/nginx@sha256:d2925188effb4ddca9f14f162d6fba9b5fab232028aa07ae5c1dab764dca8f9f
    Port:           <none>
    Host Port:      <none>
    State:          Running
      Started:      Sun, 21 Mar 2021 12:42:19 +0100
    Ready:          True
    Restart Count:  0
    Environment:    <none>
    Mounts:
      /var/run/secrets/kubernetes.io/serviceaccount from kube-api-access-j6lht (ro)
Conditions:
  Type                        Status
  PodReadyToStartContainers   True
  Initialized                 True
  Ready                       True
  ContainersReady             True
  PodScheduled                True
Volumes:
  kube-api-access-j6lht:
    Type:                    Projected (a volume that contains injected data from multiple sources)
    TokenExpirationSeconds:  3607
    ConfigMapName:           kube-root-ca.crt
    Optional:                false
    DownwardAPI:             true
QoS Class:                   BestEffort
Node-Selectors:              <none>
Tolerations:                 node.kubernetes.io/not-ready:NoExecute op=Exists for 300s
                             node.kubernetes.io/unreachable:NoExecute op=Exists for 300s
Events:
  Type    Reason     Age   From               Message
  ----    ------     ----  ----               -------
  Normal  Scheduled  5s    default-scheduler  Successfully assigned default/nginx-ser to node01
  Normal  Pulling    5s    kubelet            spec.containers{nginx-ser}: Pulling image "nginx"
  Normal  Pulled     4s    kubelet            spec.containers{nginx-ser}: Successfully pulled image "nginx" in 1.1s (1.1s including waiting). Image size: 20012345 bytes.
  Normal  Created    4s    kubelet            spec.containers{nginx-ser}: Container created
  Normal  Started    4s    kubelet            spec.containers{nginx-ser}: Container started`);
  const pod = await waitForReady(c, 'nginx-ser');
  assert.match(pod.status!.containerStatuses![0]!.imageID, /^docker\.io\/library\/nginx@sha256:[0-9a-f]{64}$/, 'a pulled image is known by its digest');
  await c.shell('kubectl logs nginx-ser');
});

test('the page is fetched with a curl Pod that goes away by itself', async (c) => {
  const [, row] = tableRows((await c.shell('kubectl get pods -o wide')).stdout);
  const shown = await curlOnce(c, `kubectl run curl --image curlimages/curl --restart=Never  -it --rm -- curl http://${row![5]}`, /<h1>Welcome to nginx!<\/h1>/);
  assert.match(shown, /pod "curl" deleted from default namespace\r?\n$/);
  await waitForPodGone(c, 'curl');
});

test('modifying: the forgotten -o yaml is refused; apply and edit change what may change, and refuse the rest', async (c) => {
  await c.shell('kubectl get pod nginx-ser > nginx-ser.yaml');
  const table = await c.shell('kubectl apply -f nginx-ser.yaml', { expect: 1 });
  assert.equal(table.stderr, 'error: error validating "nginx-ser.yaml": error validating data: invalid object to validate; if you choose to ignore these errors, turn validation off with --validate=false\n');

  await c.shell('kubectl get pod nginx-ser -o yaml > nginx-ser.yaml');
  const text = await readFile(`${c.files}/nginx-ser.yaml`, 'utf8');
  await writeFile(`${c.files}/nginx-ser.yaml`, text.replace(/^    run: nginx-ser$/m, '    run: nginx-ser\n    stage: test'));
  assert.equal((await c.shell('kubectl apply -f nginx-ser.yaml')).stdout, 'pod/nginx-ser configured\n');
  assert.match((await c.shell('kubectl get pods --show-labels')).stdout, / run=nginx-ser,stage=test$/m);

  const before = await waitForReady(c, 'nginx-ser');
  const edited = await c.shell(`KUBE_EDITOR="sed -i 's#- image: nginx\\$#- image: nginx:1.21#'" kubectl edit pods nginx-ser`);
  assert.equal(edited.stdout, 'pod/nginx-ser edited\n');
  const after = await waitForPod(c, 'nginx-ser', 'running the other image', (p) => p.status?.containerStatuses?.[0]?.restartCount === 1 && p.status.containerStatuses[0].ready);
  assert.equal(after.metadata.uid, before.metadata.uid);
  assert.equal(after.status!.containerStatuses![0]!.image, 'docker.io/library/nginx:1.21');
  const events = (await c.shell('kubectl describe pod nginx-ser')).stdout;
  assert.match(events, /Normal +Killing +\S+ .* Container nginx-ser definition changed, will be restarted$/m);

  const unchanged = await c.shell('KUBE_EDITOR=true kubectl edit pods nginx-ser');
  assert.equal(unchanged.stdout + unchanged.stderr, 'Edit cancelled, no changes made.\n');
  // An editor that changes what must not change, and then gives up: kubectl keeps the text and tells why.
  await c.file('editor.sh', `#!/bin/sh\nif grep -q hostNetwork "$1"; then exit 1; fi\nsed -i 's#^  dnsPolicy:#  hostNetwork: true\\n  dnsPolicy:#' "$1"\n`);
  await c.shell('chmod +x editor.sh');
  const refused = await c.shell('KUBE_EDITOR=./editor.sh kubectl edit pods nginx-ser', { expect: 1 });
  assert.match(refused.stderr, /^(error: )?pods "nginx-ser" (is invalid|was not valid)[^]*A copy of your changes has been stored to "/m);
});

test('delete, and httpd answers in its turn', async (c) => {
  assert.equal((await c.shell('kubectl delete pod nginx-ser')).stdout, 'pod "nginx-ser" deleted from default namespace\n');
  await c.shell('kubectl run httpd --image httpd');
  const pod = await waitForReady(c, 'httpd');
  await curlOnce(c, `kubectl run curl --image curlimages/curl --restart=Never -it --rm -- curl http://${pod.status!.podIP}`, /<html><body><h1>It works!<\/h1><\/body><\/html>/);
  await c.shell('kubectl delete pod httpd --now');
});
