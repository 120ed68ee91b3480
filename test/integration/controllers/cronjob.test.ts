import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { CronJobSpec } from '#api/gen/batch-v1.ts';
import { nameOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { Registry } from '#base/metrics.ts';
import { Client } from '#client/client.ts';
import { EventSender } from '#client/event-sender.ts';
import { InformerFactory } from '#client/informer.ts';
import { CRON_JOBS, EVENTS, JOBS } from '#client/kinds.ts';
import { componentUser, inProcessTransport } from '#cluster/in-process-transport.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { newCronJobController } from '#controllers/cronjob/cronjob.ts';
import { newTtlAfterFinishedController } from '#controllers/ttl-after-finished/ttl-after-finished.ts';
import { eventually, isGone } from './eventually.ts';

const HOUR = 3_600_000;

/** A second set of the controllers on a clock that the test moves; the cluster's own ones never see the scheduled hours come. */
describe('cron jobs', () => {
  const clock = new FakeClock(Date.now());
  let cluster: InProcessCluster;
  let informers: InformerFactory;
  let controllers: Component[];
  before(async () => {
    cluster = await startInProcessCluster({ containers: ({ command }) => (command?.[0] === 'end' ? { exit: { afterMs: 5, code: 0 } } : undefined) });
    const client = new Client(inProcessTransport(cluster.server, componentUser('test', 'system:masters'), 'test'), 'test');
    informers = new InformerFactory(client, clock);
    const context = { client, informers, clock, events: new EventSender({ clock }), resources: { list: () => [], onChange: () => () => {} }, metrics: new Registry() };
    controllers = [newCronJobController(context), newTtlAfterFinishedController(context)];
    for (const c of controllers) await c.start(new AbortController().signal);
  });
  after(async () => {
    for (const c of controllers) await c.stop();
    await informers.stop();
    await cluster.stop();
  });
  const cronJobs = () => cluster.client.of(CRON_JOBS);
  const jobsOf = async (name: string) => (await cluster.client.of(JOBS).list({ namespace: 'default' })).items.filter((j) => j.metadata.ownerReferences?.[0]?.name === name);
  const told = async (name: string, text: string) => (await cluster.client.of(EVENTS).list({ namespace: 'default', fieldSelector: `involvedObject.name=${name}` })).items.some((e) => `${e.reason} ${e.message}` === text);
  /** Runs at the minute that is two to three hours ahead, and every three hours from there. */
  function create(name: string, command: string, spec: Partial<CronJobSpec> = {}) {
    const due = new Date(clock.now() + 2 * HOUR);
    return cronJobs().create({
      metadata: { name, namespace: 'default' },
      spec: {
        schedule: `${due.getUTCMinutes()} ${due.getUTCHours() % 3}-23/3 * * *`, timeZone: 'UTC', ...spec,
        jobTemplate: { metadata: { labels: { from: name } }, spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x', command: [command] }] } } } },
      },
    });
  }
  const seen = (name: string) => eventually(`the controller knows ${name}`, () => informers.informer(CRON_JOBS).get('default', name));
  const runs = (name: string, count: number) => eventually(`${name} has run ${count} times`, async () => {
    const jobs = await jobsOf(name);
    return jobs.length === count && jobs;
  });

  test('run at their times, list what is active, forget what is old', async () => {
    await create('tick', 'end', { successfulJobsHistoryLimit: 1 });
    await create('hold', 'run', { concurrencyPolicy: 'Forbid' });
    await create('swap', 'run', { concurrencyPolicy: 'Replace' });
    await create('idle', 'end', { suspend: true });
    await Promise.all(['tick', 'hold', 'swap', 'idle'].map(seen));
    // In steps, so that the timers of the controllers fall due one after another.
    await eventually('the first time comes', async () => {
      clock.advance(60_000);
      return (await jobsOf('tick')).length === 1 && (await jobsOf('hold')).length === 1 && (await jobsOf('swap')).length === 1;
    });
    const [job] = await runs('tick', 1);
    assert.match(nameOf(job!), /^tick-\d{8}$/);
    assert.equal(job!.metadata.labels?.['from'], 'tick');
    await eventually('success is noted', async () => {
      const { status } = await cronJobs().get('default', 'tick');
      return status?.lastSuccessfulTime && status.lastScheduleTime && !status.active?.length;
    });
    await eventually('the end is told', () => told('tick', `SawCompletedJob Saw completed job: ${nameOf(job!)}, condition: Complete`));
    const [held] = await runs('hold', 1);
    const [first] = await runs('swap', 1);
    await eventually('the running Job is listed', async () => (await cronJobs().get('default', 'hold')).status?.active?.[0]?.name === nameOf(held!));

    await eventually('the second time comes', async () => {
      clock.advance(5 * 60_000);
      const swapped = await jobsOf('swap');
      return swapped.length === 1 && nameOf(swapped[0]!) !== nameOf(first!) && (await told('tick', `SuccessfulDelete Deleted job ${nameOf(job!)}`));
    });
    await eventually('Forbid is told', () => told('hold', 'JobAlreadyActive Not starting job because prior execution is running and concurrency policy is Forbid'));
    assert.deepEqual((await jobsOf('hold')).map(nameOf), [nameOf(held!)]);
    await eventually('the first run was replaced', () => told('swap', `SuccessfulDelete Deleted job ${nameOf(first!)}`));
    assert.equal((await jobsOf('idle')).length, 0);
  });
  test('ended Jobs with a TTL go when it is over', async () => {
    const job = await cluster.client.of(JOBS).create({ metadata: { name: 'brief', namespace: 'default' }, spec: { ttlSecondsAfterFinished: 48 * 3600, template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x', command: ['end'] }] } } } });
    await eventually('it ends', async () => (await cluster.client.of(JOBS).get('default', nameOf(job))).status?.completionTime);
    await eventually('it goes', async () => {
      clock.advance(8 * HOUR);
      return await isGone(cluster.client.of(JOBS).get('default', nameOf(job)));
    });
  });
});
