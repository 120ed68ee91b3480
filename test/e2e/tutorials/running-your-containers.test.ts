/** "Running Your Containers in Kubernetes: Understanding Pods", typed as its reader would. */
import assert from 'node:assert/strict';
import { PROMPT } from '../harness/process.ts';
import { waitForPhase, waitForPodGone, waitForReady } from '../harness/conditions.ts';
import { assertOutput, tableRows } from '../harness/mask.ts';
import { onCluster } from '../harness/suite.ts';

const BUSYBOX = 'docker.io/library/busybox:1.37';
const ASPNET = 'mcr.microsoft.com/dotnet/aspnet:10.0';
/** An image with an application that answers as the tutorial's does; its own image is the base alone. */
const WEATHER = 'example/weather-api:1';

const { test } = onCluster({ images: [BUSYBOX, ASPNET, `docker.io/${WEATHER}`] });

const BUSYBOX_POD = `apiVersion: v1
kind: Pod
metadata:
  name: busybox-test
  labels:
    app: busybox-test
    purpose: testing
spec:
  containers:
  - name: busybox
    image: busybox:1.37
    command: ["sleep", "3600"]
    resources:
      requests:
        cpu: "50m"
        memory: "32Mi"
      limits:
        cpu: "100m"
        memory: "64Mi"
  restartPolicy: Never
`;
const weatherPod = (image: string): string => `apiVersion: v1
kind: Pod
metadata:
  name: weather-api
  labels:
    app: weather-api
    tier: backend
spec:
  containers:
  - name: weather-api
    image: ${image}
    ports:
    - containerPort: 8080
    env:
    - name: ASPNETCORE_URLS
      value: "http://+:8080"
    - name: ASPNETCORE_ENVIRONMENT
      value: "Development"
    resources:
      requests:
        cpu: "100m"
        memory: "128Mi"
      limits:
        cpu: "500m"
        memory: "256Mi"
  restartPolicy: Never
`;

test('kubectl run makes one Pod, whatever the tutorial says of Deployments; get, describe, logs, exec, delete', async (c) => {
  const made = await c.shell('kubectl run busybox-test --image=busybox:1.37 --restart=Never -- sleep 3600');
  assert.equal(made.stdout, 'pod/busybox-test created\n');
  await waitForReady(c, 'busybox-test');
  assertOutput((await c.shell('kubectl get pods')).stdout, `
NAME           READY   STATUS    RESTARTS   AGE
busybox-test   1/1     Running   0          30s`);
  assertOutput((await c.shell('kubectl get pods -o wide')).stdout, `
NAME           READY   STATUS    RESTARTS   AGE   IP           NODE     NOMINATED NODE   READINESS GATES
busybox-test   1/1     Running   0          30s   10.244.0.5   node01   <none>           <none>`);
  assertOutput((await c.shell('kubectl describe pod busybox-test')).stdout, `
Name:             busybox-test
Namespace:        default
Priority:         0
Service Account:  default
Node:             node01/192.0.2.2
Start Time:       Sun, 05 Apr 2026 18:28:52 +0000
Labels:           run=busybox-test
Annotations:      <none>
Status:           Running
IP:               10.244.0.5
IPs:
  IP:  10.244.0.5
Containers:
  busybox-test:
    Container ID:  containerd://58cb826982ad54ab7c3f41bff14fb508c441270f4504567a8e407dbce60a39a9
    Image:         busybox:1.37
    Image ID:      sha256:85e3efa2f41ca100df59534999b9f58bd27ea406c84d34f6ae6bc46ed07796a7
    Port:          <none>
    Host Port:     <none>
    Args:
      sleep
      3600
    State:          Running
      Started:      Sun, 05 Apr 2026 18:28:52 +0000
    Ready:          True
    Restart Count:  0
    Environment:    <none>
    Mounts:
      /var/run/secrets/kubernetes.io/serviceaccount from kube-api-access-l42gd (ro)
Conditions:
  Type                        Status
  PodReadyToStartContainers   True
  Initialized                 True
  Ready                       True
  ContainersReady             True
  PodScheduled                True
Volumes:
  kube-api-access-l42gd:
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
  Normal  Scheduled  1s    default-scheduler  Successfully assigned default/busybox-test to node01
  Normal  Pulled     1s    kubelet            spec.containers{busybox-test}: Container image "busybox:1.37" already present on machine and can be accessed by the pod
  Normal  Created    1s    kubelet            spec.containers{busybox-test}: Container created
  Normal  Started    1s    kubelet            spec.containers{busybox-test}: Container started`);
  assert.equal((await c.shell('kubectl logs busybox-test')).stdout, '');
  await using follow = await c.startKubectl('logs -f busybox-test');
  await using shell = c.terminal('kubectl exec -it busybox-test -- sh');
  await shell.seen(PROMPT);
  shell.write('echo followed > /proc/1/fd/1; hostname; exit\n');
  assert.equal((await shell.ended).code, 0);
  assert.match(shell.stdout, /^busybox-test\r$/m);
  await follow.seen(/^followed$/m);
  assert.equal((await c.shell('kubectl delete pod busybox-test --grace-period=1')).stdout, 'pod "busybox-test" deleted from default namespace\n');
  assert.equal((await follow.ended).code, 0);
  assert.deepEqual(await c.shell('kubectl get pods'), { code: 0, stdout: '', stderr: 'No resources found in default namespace.\n' });
});

test('the manifests as printed, their indentation lost, are refused with kubectl\'s own words', async (c) => {
  await c.file('flat.yaml', BUSYBOX_POD.replace(/^ +/gm, ''));
  const refused = await c.shell('kubectl apply -f flat.yaml', { expect: 'failure' });
  assert.match(refused.stderr, /resource name may not be empty|mapping key "name" already defined|error (parsing|converting)/);
});

test('the base image of the tutorial has no application: the Pod completes', async (c) => {
  await c.file('aspnet.yaml', weatherPod(ASPNET));
  await c.shell('kubectl apply -f aspnet.yaml');
  await waitForPhase(c, 'weather-api', 'Succeeded');
  assertOutput((await c.shell('kubectl get pod weather-api')).stdout, `
NAME          READY   STATUS      RESTARTS   AGE
weather-api   0/1     Completed   0          2s`);
  assert.equal((await c.shell('kubectl delete -f aspnet.yaml')).stdout, 'pod "weather-api" deleted from default namespace\n');
});

test('the step-by-step example: two Pods, port-forward, logs, a call from Pod to Pod, cleaning up', async (c) => {
  await c.file('busybox-test-pod.yaml', BUSYBOX_POD);
  await c.file('weather-api-pod.yaml', weatherPod(WEATHER));
  assert.equal((await c.shell('kubectl apply -f busybox-test-pod.yaml')).stdout, 'pod/busybox-test created\n');
  assert.equal((await c.shell('kubectl apply -f weather-api-pod.yaml')).stdout, 'pod/weather-api created\n');
  await Promise.all([waitForReady(c, 'busybox-test'), waitForReady(c, 'weather-api')]);
  const wide = (await c.shell('kubectl get pods -o wide')).stdout;
  assertOutput(wide, `
NAME           READY   STATUS    RESTARTS   AGE   IP           NODE     NOMINATED NODE   READINESS GATES
busybox-test   1/1     Running   0          30s   10.244.0.5   node01   <none>           <none>
weather-api    1/1     Running   0          25s   10.244.0.6   node01   <none>           <none>`);
  const ip = tableRows(wide)[2]![5]!;

  const described = (await c.shell('kubectl describe pod weather-api')).stdout;
  assert.match(described, /^ +Limits:\n +cpu: +500m\n +memory: +256Mi\n +Requests:\n +cpu: +100m\n +memory: +128Mi\n +Environment:\n +ASPNETCORE_URLS: +http:\/\/\+:8080\n +ASPNETCORE_ENVIRONMENT: +Development$/m);
  assert.match(described, /^ +Port: +8080\/TCP\n +Host Port: +0\/TCP$/m);
  assert.match(described, /^QoS Class: +Burstable$/m);

  await using forward = await c.startKubectl('port-forward pod/weather-api :8080');
  const [, port] = await forward.seen(/Forwarding from 127\.0\.0\.1:(\d+) -> 8080\n/);
  await using logs = await c.startKubectl('logs -f weather-api');
  const answer = await fetch(`http://localhost:${port}/weatherforecast`);
  assert.equal(answer.status, 200);
  const forecast = (await answer.json()) as { date: string; temperatureC: number; temperatureF: number; summary: string }[];
  assert.equal(forecast.length, 5);
  assert.deepEqual(Object.keys(forecast[0]!), ['date', 'temperatureC', 'temperatureF', 'summary']);
  await forward.seen(new RegExp(`Handling connection for ${port}`));
  await logs.seen(/^Now listening on: http:\/\/\[::\]:8080$/m);
  await logs.seen(/^GET \/weatherforecast 200$/m);

  await using shell = c.terminal('kubectl exec -it busybox-test -- sh');
  await shell.seen(PROMPT);
  shell.write(`wget -qO- http://${ip}:8080/weatherforecast\n`);
  await shell.seen(/\[\{"date":"[^\]]*\}\]/);
  shell.write('exit\n');
  assert.equal((await shell.ended).code, 0);

  await logs.interrupt();
  await forward.interrupt();
  const deleted = await c.shell('kubectl delete pod weather-api busybox-test', { timeoutMs: 90_000 });
  assert.equal(deleted.stdout, 'pod "weather-api" deleted from default namespace\npod "busybox-test" deleted from default namespace\n');
  await waitForPodGone(c, 'busybox-test');
  const again = await c.shell('kubectl delete -f weather-api-pod.yaml -f busybox-test-pod.yaml', { expect: 1 });
  assert.equal(again.stderr, 'Error from server (NotFound): error when deleting "weather-api-pod.yaml": pods "weather-api" not found\nError from server (NotFound): error when deleting "busybox-test-pod.yaml": pods "busybox-test" not found\n');
});
