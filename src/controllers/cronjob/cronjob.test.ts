import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CronJob, Job } from '#api/gen/batch-v1.ts';
import { nameOf } from '#api/object.ts';
import { CronError } from '#machinery/cron.ts';
import { jobFor, jobsToForget } from './cronjob.ts';
import { InvalidScheduleError, recentTime, untilNext } from './due.ts';
import { parseSchedule } from './schedule.ts';
import { zonedTime } from './time-zone.ts';

const utc = (text: string) => Date.parse(`${text}Z`);
const times = (schedule: string, zone: string, from: string, count: number) => {
  const s = parseSchedule(schedule, zone);
  const out: string[] = [];
  for (let t = s.next(utc(from)); t !== undefined && out.length < count; t = s.next(t)) out.push(zonedTime(zone, t));
  return out;
};

describe('schedules', () => {
  const table: readonly (readonly [schedule: string, zone: string, from: string, expected: readonly string[]])[] = [
    ['*/20 * * * *', 'UTC', '2026-01-02T03:04:05', ['2026-01-02T03:20:00Z', '2026-01-02T03:40:00Z', '2026-01-02T04:00:00Z']],
    ['30 6-16/4 * * mon-fri', 'UTC', '2026-01-02T14:30:00', ['2026-01-05T06:30:00Z', '2026-01-05T10:30:00Z']],
    ['0 0 13 * 5', 'UTC', '2026-01-10T00:00:00', ['2026-01-13T00:00:00Z', '2026-01-16T00:00:00Z', '2026-01-23T00:00:00Z']],
    ['0 0 29 feb *', 'UTC', '2026-01-01T00:00:00', ['2028-02-29T00:00:00Z']],
    ['@weekly', 'UTC', '2026-01-02T00:00:00', ['2026-01-04T00:00:00Z']],
    ['0 9 * * *', 'Asia/Kolkata', '2026-01-02T03:30:00', ['2026-01-03T09:00:00+05:30']],
    // Clocks go from 2:00 to 3:00 on 29 March: that night has no 2:30.
    ['30 2 * * *', 'Europe/Berlin', '2026-03-28T00:00:00', ['2026-03-28T02:30:00+01:00', '2026-03-30T02:30:00+02:00']],
    ['0 4 * * *', 'Europe/Berlin', '2026-10-24T12:00:00', ['2026-10-25T04:00:00+01:00']],
    // Midnight does not exist on that day.
    ['0 1 * * *', 'America/Sao_Paulo', '2018-11-03T12:00:00', ['2018-11-04T01:00:00-02:00']],
    ['0 0 31 2 *', 'UTC', '2026-01-01T00:00:00', []],
  ];
  for (const [schedule, zone, from, expected] of table) test(`"${schedule}" in ${zone} after ${from}`, () => assert.deepEqual(times(schedule, zone, from, Math.max(1, expected.length)), expected));
  test('@every counts from where it is asked; TZ= names a zone', () => {
    assert.equal(parseSchedule('@every 90s', 'UTC').next(utc('2026-01-01T00:00:00') + 300), utc('2026-01-01T00:01:30'));
    assert.equal(parseSchedule('TZ=Asia/Tokyo 0 0 * * *', 'UTC').next(utc('2026-01-01T00:00:00')), utc('2026-01-01T15:00:00'));
  });
  for (const bad of ['', '* * * *', '60 * * * *', '*/0 * * * *', '5-1 * * * *', '@often', '@every soon', 'TZ=Mars/Base * * * * *']) {
    test(`"${bad}" is refused`, () => assert.throws(() => parseSchedule(bad, 'UTC'), CronError));
  }
});

const cronJob = (spec: Partial<CronJob['spec']> = {}, status: CronJob['status'] = {}): CronJob => ({
  metadata: { name: 'c', namespace: 'ns', uid: 'u', creationTimestamp: '2026-01-01T00:00:30Z' }, spec: { schedule: '* * * * *', jobTemplate: {}, ...spec }, status,
});
describe('recentTime', () => {
  const hourly = parseSchedule('0 * * * *', 'UTC');
  const last = (c: CronJob, now: string) => {
    const r = recentTime(c, utc(now), hourly, true);
    return [r.last === undefined ? undefined : zonedTime('UTC', r.last), r.missed];
  };
  test('is undefined before the first time, then the last of those that were missed', () => {
    assert.deepEqual(last(cronJob(), '2026-01-01T00:59:59'), [undefined, 'none']);
    assert.deepEqual(last(cronJob(), '2026-01-01T01:00:00'), ['2026-01-01T01:00:00Z', 'none']);
    assert.deepEqual(last(cronJob(), '2026-01-01T05:30:00'), ['2026-01-01T05:00:00Z', 'few']);
    assert.deepEqual(last(cronJob({}, { lastScheduleTime: '2026-01-01T05:00:00Z' }), '2026-01-01T05:30:00'), [undefined, 'none']);
    assert.deepEqual(last(cronJob(), '2026-01-09T05:30:00'), ['2026-01-09T05:00:00Z', 'many']);
  });
  test('does not look back further than startingDeadlineSeconds', () => {
    assert.deepEqual(last(cronJob({ startingDeadlineSeconds: 600 }), '2026-01-09T05:30:00'), [undefined, 'none']);
    assert.deepEqual(last(cronJob({ startingDeadlineSeconds: 600 }), '2026-01-09T05:09:00'), ['2026-01-09T05:00:00Z', 'none']);
  });
  test('throws for a schedule that never comes; untilNext tells the wait', () => {
    assert.throws(() => recentTime(cronJob(), utc('2026-01-02T00:00:00'), parseSchedule('0 0 31 2 *', 'UTC'), true), InvalidScheduleError);
    assert.equal(untilNext(cronJob(), utc('2026-01-01T05:30:00'), hourly), 1_800_100);
  });
});

test('jobFor names a Job after its minute and notes the scheduled time in the zone', () => {
  const job = jobFor(cronJob({ timeZone: 'Asia/Tokyo', jobTemplate: { metadata: { labels: { a: 'b' } } } }), utc('2026-01-01T05:00:00'));
  assert.equal(nameOf(job), `c-${utc('2026-01-01T05:00:00') / 60_000}`);
  assert.deepEqual(job.metadata.annotations, { 'batch.kubernetes.io/cronjob-scheduled-timestamp': '2026-01-01T14:00:00+09:00' });
  assert.deepEqual(job.metadata.labels, { a: 'b' });
});
test('jobsToForget keeps the newest of each kind', () => {
  const ended = (name: string, type: string, startTime: string): Job => ({ metadata: { name }, spec: { template: {} }, status: { startTime, conditions: [{ type, status: 'True' }] } });
  const jobs = [ended('c2', 'Complete', '2026-01-02T00:00:00Z'), ended('c1', 'Complete', '2026-01-01T00:00:00Z'), ended('f1', 'Failed', '2026-01-01T00:00:00Z'), ended('run', 'Suspended', '2025-01-01T00:00:00Z')];
  assert.deepEqual(jobsToForget(cronJob({ successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 0 }), jobs).map(nameOf), ['c1', 'f1']);
  assert.deepEqual(jobsToForget(cronJob({ successfulJobsHistoryLimit: 3, failedJobsHistoryLimit: 1 }), jobs), []);
});
