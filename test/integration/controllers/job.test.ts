import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Job, JobSpec } from '#api/gen/batch-v1.ts';
import { nameOf, uidOf } from '#api/object.ts';
import { EVENTS, JOBS, PODS } from '#client/kinds.ts';
import { startInProcessCluster, type InProcessCluster, type InProcessOptions } from '#cluster/in-process-cluster.ts';
import { eventually, isGone } from './eventually.ts';

/** Containers do what their command says: `exit CODE`, `fail-index I`, `only-index I`; anything else runs until it is stopped. */
const script: NonNullable<InProcessOptions['containers']> = ({ command, envs }) => {
  const [verb, arg = '0'] = command ?? [];
  const value = envs?.find((e) => e.key === 'JOB_COMPLETION_INDEX')?.value;
  const index = value === undefined ? undefined : String(value);
  const exit = (code: number) => ({ exit: { afterMs: 5, code } });
  if (verb === 'exit') return exit(Number(arg));
  if (verb === 'fail-index') return exit(index === arg ? 3 : 0);
  return verb === 'only-index' && index === arg ? exit(0) : undefined;
};

describe('jobs', () => {
  let cluster: InProcessCluster;
  before(async () => {
    cluster = await startInProcessCluster({ containers: script });
  });
  after(() => cluster.stop());
  const jobs = () => cluster.client.of(JOBS);
  const podsOf = async (name: string) => (await cluster.client.of(PODS).list({ namespace: 'default', labelSelector: `job-name=${name}` })).items;
  const eventsOf = async (name: string) => (await cluster.client.of(EVENTS).list({ namespace: 'default', fieldSelector: `involvedObject.name=${name}` })).items.map((e) => `${e.type} ${e.reason} ${e.message}`);
  function start(name: string, command: string[], spec: Partial<JobSpec> = {}, restartPolicy: 'Never' | 'OnFailure' = 'Never'): Promise<Job> {
    return jobs().create({
      metadata: { name, namespace: 'default' },
      spec: { ...spec, template: { metadata: { annotations: { kept: 'yes' } }, spec: { restartPolicy, terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'busybox', command }] } } },
    });
  }
  const has = (type: string) => async (name: string) => {
    const job = await jobs().get('default', name);
    return job.status?.conditions?.some((c) => c.type === type && c.status === 'True') ? job : undefined;
  };
  const complete = (name: string) => eventually(`${name} completes`, () => has('Complete')(name));
  const failed = (name: string) => eventually(`${name} fails`, () => has('Failed')(name));
  const reasonOf = (job: Job, type: string) => {
    const c = job.status?.conditions?.find((x) => x.type === type);
    return c && `${c.status} ${c.reason}: ${c.message}`;
  };

  test('a Job with completions runs at most `parallelism` Pods at once and counts each success once', async () => {
    await start('five', ['exit', '0'], { completions: 5, parallelism: 2 });
    const job = await complete('five');
    assert.equal(job.status?.succeeded, 5);
    assert.equal(job.status?.active, undefined);
    assert.deepEqual(job.status?.uncountedTerminatedPods, {});
    assert.equal(job.status?.ready, 0);
    assert.equal(job.status?.terminating, 0);
    assert.equal(reasonOf(job, 'SuccessCriteriaMet'), 'True CompletionsReached: Reached expected number of succeeded pods');
    assert.equal(reasonOf(job, 'Complete'), 'True CompletionsReached: Reached expected number of succeeded pods');
    assert.ok(job.status?.startTime && job.status.completionTime);
    const pods = await podsOf('five');
    assert.equal(pods.length, 5);
    assert.deepEqual(pods.flatMap((p) => p.metadata.finalizers ?? []), []);
    await eventually('the end is told', async () => (await eventsOf('five')).includes('Normal Completed Job completed'));
    assert.equal((await eventsOf('five')).filter((e) => e.startsWith('Normal SuccessfulCreate Created pod: five-')).length, 5);
  });
  test('an Indexed Job gives each Pod its index as annotation, label, variable, host name and part of its name', async () => {
    await start('idx', ['exit', '0'], { completions: 4, parallelism: 4, completionMode: 'Indexed' });
    const job = await complete('idx');
    assert.equal(job.status?.completedIndexes, '0-3');
    const pods = (await podsOf('idx')).toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
    assert.deepEqual(pods.map((p) => p.spec.hostname), ['idx-0', 'idx-1', 'idx-2', 'idx-3']);
    const second = pods[1]!;
    assert.match(nameOf(second), /^idx-1-[a-z0-9]{5}$/);
    assert.equal(second.metadata.annotations?.['batch.kubernetes.io/job-completion-index'], '1');
    assert.equal(second.metadata.annotations?.['kept'], 'yes');
    assert.equal(second.metadata.labels?.['batch.kubernetes.io/job-completion-index'], '1');
    assert.deepEqual(second.spec.containers[0]?.env?.[0], { name: 'JOB_COMPLETION_INDEX', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: "metadata.labels['batch.kubernetes.io/job-completion-index']" } } });
  });
  test('a failure past backoffLimit fails the Job', async () => {
    await start('bad', ['exit', '1'], { backoffLimit: 0 });
    const job = await failed('bad');
    assert.equal(reasonOf(job, 'FailureTarget'), 'True BackoffLimitExceeded: Job has reached the specified backoff limit');
    assert.equal(reasonOf(job, 'Failed'), 'True BackoffLimitExceeded: Job has reached the specified backoff limit');
    assert.equal(job.status?.failed, 1);
    await eventually('the end is told', async () => (await eventsOf('bad')).includes('Warning BackoffLimitExceeded Job has reached the specified backoff limit'));
  });
  test('podFailurePolicy Ignore sees that a Pod was evicted, and the Job goes on with another', async () => {
    await start('spared', ['run'], { backoffLimit: 0, podFailurePolicy: { rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] }, { action: 'FailJob', onExitCodes: { operator: 'NotIn', values: [0] } }] } });
    const running = () => podsOf('spared').then((pods) => pods.find((p) => p.status?.phase === 'Running' && p.metadata.deletionTimestamp === undefined));
    const first = await eventually('its Pod runs', running);
    await cluster.client.of(PODS).createSubresource('default', nameOf(first), 'eviction', { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: nameOf(first) } });
    await eventually('another Pod runs', async () => {
      const pod = await running();
      return pod && uidOf(pod) !== uidOf(first);
    });
    const { status } = await jobs().get('default', 'spared');
    assert.equal(status?.conditions?.some((c) => c.type === 'Failed' || c.type === 'FailureTarget') ?? false, false);
  });
  test('podFailurePolicy FailJob ends the Job at once, in the words that name Pod and rule', async () => {
    await start('policy', ['exit', '42'], { backoffLimit: 6, parallelism: 1, podFailurePolicy: { rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] }, { action: 'FailJob', onExitCodes: { containerName: 'c', operator: 'In', values: [42] } }] } });
    const job = await failed('policy');
    const [pod] = await podsOf('policy');
    assert.equal(reasonOf(job, 'Failed'), `True PodFailurePolicy: Container c for pod default/${nameOf(pod!)} failed with exit code 42 matching FailJob rule at index 1`);
  });
  test('backoffLimitPerIndex lets the other indexes finish before the Job fails', async () => {
    await start('per', ['fail-index', '1'], { completions: 3, parallelism: 3, completionMode: 'Indexed', backoffLimitPerIndex: 0 });
    const job = await failed('per');
    assert.equal(job.status?.completedIndexes, '0,2');
    assert.equal(job.status?.failedIndexes, '1');
    assert.equal(reasonOf(job, 'Failed'), 'True FailedIndexes: Job has failed indexes');
    assert.equal((await podsOf('per'))[0]?.metadata.annotations?.['batch.kubernetes.io/job-index-failure-count'], '0');
  });
  test('successPolicy ends the Job with its other Pods still running', async () => {
    await start('leader', ['only-index', '0'], { completions: 3, parallelism: 3, completionMode: 'Indexed', successPolicy: { rules: [{ succeededIndexes: '0', succeededCount: 1 }] } });
    const job = await complete('leader');
    assert.equal(reasonOf(job, 'Complete'), 'True SuccessPolicy: Matched rules at index 0');
    assert.equal(job.status?.completedIndexes, '0');
    await eventually('the others are gone', async () => (await podsOf('leader')).length === 1);
  });
  test('a suspended Job has no Pods; resumed it starts anew; suspended again it loses them', async () => {
    await start('paused', ['sleep'], { suspend: true });
    const paused = await eventually('it is suspended', () => has('Suspended')('paused'));
    assert.equal(reasonOf(paused, 'Suspended'), 'True JobSuspended: Job suspended');
    assert.equal(paused.status?.startTime, undefined);
    assert.equal((await podsOf('paused')).length, 0);
    for (let round = 0; round < 2; round++) {
      await jobs().patch('default', 'paused', 'application/merge-patch+json', { spec: { suspend: false } });
      await eventually('its Pod is ready', async () => (await jobs().get('default', 'paused')).status?.ready === 1);
      assert.equal(reasonOf(await jobs().get('default', 'paused'), 'Suspended'), 'False JobResumed: Job resumed');
      await jobs().patch('default', 'paused', 'application/merge-patch+json', { spec: { suspend: true } });
      await eventually('it has none again', async () => (await podsOf('paused')).length === 0 && (await has('Suspended')('paused')));
      const { status } = await jobs().get('default', 'paused');
      assert.deepEqual([status?.startTime, status?.failed], [undefined, undefined], 'what was taken away did not fail');
    }
  });
  test('a Job with less parallelism does not count the Pods that it deletes', async () => {
    await start('fewer', ['sleep'], { parallelism: 2, completions: 2 });
    await eventually('both run', async () => (await jobs().get('default', 'fewer')).status?.ready === 2);
    await jobs().patch('default', 'fewer', 'application/merge-patch+json', { spec: { parallelism: 1 } });
    await eventually('one is gone', async () => (await podsOf('fewer')).length === 1 && (await jobs().get('default', 'fewer')).status?.terminating === 0);
    assert.equal((await jobs().get('default', 'fewer')).status?.failed, undefined);
  });
  test('activeDeadlineSeconds ends what runs', async () => {
    await start('late', ['sleep'], { activeDeadlineSeconds: 1 });
    const job = await failed('late');
    assert.equal(reasonOf(job, 'Failed'), 'True DeadlineExceeded: Job was active longer than specified deadline');
    assert.equal(job.status?.active, undefined);
    assert.equal(job.status?.failed, 1);
  });
  test('a Job that another controller manages is left alone', async () => {
    const other = await start('foreign', ['exit', '0'], { managedBy: 'example.com/other' });
    await start('ours', ['exit', '0']);
    await complete('ours');
    assert.deepEqual((await jobs().get('default', 'foreign')).status ?? {}, other.status ?? {});
    assert.equal((await podsOf('foreign')).length, 0);
  });
  test('a deleted Job takes its Pods with it, finalizers and all', async () => {
    const job = await start('gone', ['sleep'], { parallelism: 2, completions: 2 });
    await eventually('its Pods run', async () => (await podsOf('gone')).filter((p) => p.status?.phase === 'Running').length === 2);
    await jobs().delete('default', 'gone', { propagationPolicy: 'Background', preconditions: { uid: uidOf(job) } });
    await eventually('the Job goes', () => isGone(jobs().get('default', 'gone')));
    await eventually('the Pods go', async () => (await podsOf('gone')).length === 0);
  });
  test('a Pod that is deleted is replaced, and counts as failed', async () => {
    await start('kept', ['sleep']);
    const pod = await eventually('its Pod runs', async () => (await podsOf('kept')).find((p) => p.status?.phase === 'Running'));
    await cluster.client.of(PODS).delete('default', nameOf(pod));
    await eventually('the failure is counted', async () => (await jobs().get('default', 'kept')).status?.failed === 1);
    await jobs().delete('default', 'kept', { propagationPolicy: 'Background' });
  });
});
