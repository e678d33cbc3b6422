import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Alert, Button, Card, Checkbox, Collapse, Form, Input, InputNumber, Segmented, Select, Spin, Statistic, Steps } from 'antd';
import { type ReactNode, useDeferredValue, useEffect, useRef, useState } from 'react';
import { useNavigate, useParams } from 'react-router';

import { api, ask, randomKey } from '../api/client';
import type { Forecast, NewJob, Package } from '../api/types';
import { Time } from '../parts/bits';
import { CsvFile } from '../parts/csv-file';
import { Loaded } from '../parts/loaded';
import { bytes, span } from '../parts/numbers';
import { Page } from '../parts/page';
import { ProblemAlert } from '../parts/problem';
import { useText } from '../texts';
import { type Draft, draftFor, fitting, isScopeWhole, kindsOf, needsSources, orderOf, SCOPES, summary, wavesOf, whyNotMqtt, type WindowDraft } from './draft';
import { usePackage } from './package';
import { useGroups } from './product-devices';

/** The dry run follows the typing at this distance. */
const CALM_MS = 400;

export default function NewJobPage() {
  const { t } = useText();
  const { packageId = '' } = useParams();
  const query = usePackage(packageId);
  const within = [{ text: query.data?.name ?? packageId, to: `/packages/${packageId}` }];
  return (
    <Page title={t('newJob')} within={within}>
      <Loaded query={query}>{(of) => <Wizard of={of} />}</Loaded>
    </Page>
  );
}

type Set = (part: Partial<Draft>) => void;

/** What was typed stays with the tab, whatever becomes of the page. */
function useDraft(of: Package): [Draft, Set, () => void] {
  const key = `otaru-draft:${of.id}`;
  const [draft, setDraft] = useState<Draft>(() => {
    const kept = sessionStorage.getItem(key);
    return kept ? { ...draftFor(of), ...(JSON.parse(kept) as Draft) } : draftFor(of);
  });
  useEffect(() => sessionStorage.setItem(key, JSON.stringify(draft)), [key, draft]);
  return [fitting(draft, of), (part) => setDraft((before) => ({ ...before, ...part })), () => sessionStorage.removeItem(key)];
}

function Wizard({ of }: { of: Package }) {
  const { t } = useText();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [step, setStep] = useState(0);
  const [draft, set, forget] = useDraft(of);
  const order = orderOf(draft, of.id);
  const whole = isScopeWhole(draft, of) && wavesOf(draft.waves) !== null;
  const forecast = useForecast(order, whole);
  const key = useRef({ of: '', key: '' });
  const start = useMutation({
    mutationFn: () => {
      // The same order sent again is the same job; a changed one is another.
      const text = JSON.stringify(order);
      if (key.current.of !== text) key.current = { of: text, key: randomKey() };
      return ask(api.POST('/api/v1/jobs', { body: order, headers: { 'Idempotency-Key': key.current.key } }));
    },
    onSuccess: ({ job }) => {
      forget();
      void queries.invalidateQueries({ queryKey: ['jobs'] });
      void queries.invalidateQueries({ queryKey: ['packages'] });
      void navigate(`/jobs/${job.id}`);
    },
  });
  const last = step === 2;
  if (kindsOf(of).length === 0) return <Alert type="info" showIcon title={t('package.verifying')} description={t('package.verifying.detail')} />;
  return (
    <div className="stack">
      <Steps
        current={step}
        onChange={setStep}
        items={[{ title: t('wizard.scope') }, { title: t('wizard.strategy') }, { title: t('wizard.check') }]}
      />
      <Form layout="vertical">
        {step === 0 && <Scope of={of} draft={draft} set={set} />}
        {step === 1 && <Strategy of={of} draft={draft} set={set} />}
        {step === 2 && <Check of={of} draft={draft} matched={forecast.isOfThis ? forecast.data!.matched : null} />}
      </Form>
      <Card title={t('dryRun')} aria-live="polite" extra={whole && !forecast.isOfThis && !forecast.error && <Spin size="small" />}>
        {!whole && <p>{t('dryRun.notYet')}</p>}
        <ProblemAlert error={whole ? forecast.error : null} />
        {whole && forecast.data && !forecast.error && <Numbers of={forecast.data} />}
      </Card>
      <ProblemAlert error={start.error} />
      <div className="row">
        <Button disabled={step === 0} onClick={() => setStep(step - 1)}>
          {t('back')}
        </Button>
        {last ? (
          <Button type="primary" disabled={!whole || !forecast.isOfThis} loading={start.isPending} onClick={() => start.mutate()}>
            {t('start')}
          </Button>
        ) : (
          <Button type="primary" disabled={!isScopeWhole(draft, of)} onClick={() => setStep(step + 1)}>
            {t('next')}
          </Button>
        )}
      </div>
    </div>
  );
}

/** What the order would do now, asked once the typing rests; until then `data` may be of the order before. */
function useForecast(order: NewJob, enabled: boolean) {
  const text = useDeferredValue(JSON.stringify(order));
  const [calm, setCalm] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setCalm(text), CALM_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const { data, error, isPlaceholderData } = useQuery({
    queryKey: ['dry-run', calm],
    enabled,
    queryFn: () => ask(api.POST('/api/v1/jobs/dry-run', { body: JSON.parse(calm) as NewJob })),
    placeholderData: (before) => before,
  });
  const isOfThis = data !== undefined && !error && !isPlaceholderData && calm === JSON.stringify(order);
  return { data, error, isOfThis };
}

interface Part {
  draft: Draft;
  set: Set;
}

function Scope({ of, draft, set }: Part & { of: Package }) {
  const { t, code } = useText();
  const groups = useGroups(of.productKey, draft.scope === 'group');
  const versions = useQuery({
    queryKey: ['versions', of.productKey, of.module, 'all'],
    queryFn: () =>
      ask(
        api.GET('/api/v1/products/{productKey}/statistics/versions', {
          params: { path: { productKey: of.productKey }, query: { module: of.module, limit: 200 } },
        }),
      ),
  });
  return (
    <Card>
      <Form.Item label={t('jobKind')} extra={t(`jobKind.${draft.kind}.detail`)}>
        <Segmented
          value={draft.kind}
          onChange={(kind) => set({ kind, scope: SCOPES[kind].includes(draft.scope) ? draft.scope : SCOPES[kind][0]! })}
          options={kindsOf(of).map((value) => ({ value, label: code('jobKind', value) }))}
        />
      </Form.Item>
      <Form.Item label={t('scope')}>
        <Segmented
          value={draft.scope}
          onChange={(scope) => set({ scope })}
          options={SCOPES[draft.kind].map((value) => ({ value, label: t(`scope.${value}`) }))}
        />
      </Form.Item>
      {draft.scope === 'named' && <Names productKey={of.productKey} draft={draft} set={set} />}
      {draft.scope === 'csv' && <Csv draft={draft} set={set} />}
      {draft.scope === 'percent' && (
        <Form.Item label={t('scope.percent')}>
          <InputNumber aria-label={t('scope.percent')} min={0.001} max={100} suffix="%" value={draft.percent} onChange={(percent) => set({ percent: percent ?? 10 })} />
        </Form.Item>
      )}
      {draft.scope === 'filter' && (
        <Form.Item label={t('narrow.filter')} extra={t('filter.detail')}>
          <Input.TextArea aria-label={t('narrow.filter')} rows={2} className="code" placeholder="tag.region = eu" value={draft.filter} onChange={({ target }) => set({ filter: target.value })} />
        </Form.Item>
      )}
      {draft.scope === 'group' && (
        <Form.Item label={t('group')}>
          <Select
            aria-label={t('group')}
            value={draft.group || undefined}
            onChange={(group) => set({ group })}
            notFoundContent={t('groups.empty')}
            options={(groups.data ?? []).map(({ name }) => ({ value: name, label: name }))}
          />
        </Form.Item>
      )}
      {draft.kind !== 'VERIFY' && (
        <Form.Item label={t('srcVersions')} required={needsSources(draft, of)} extra={t(needsSources(draft, of) ? 'srcVersions.needed' : 'srcVersions.detail')}>
          <Select
            aria-label={t('srcVersions')}
            mode="tags"
            value={draft.srcVersions}
            onChange={(srcVersions) => set({ srcVersions })}
            options={(versions.data?.versions ?? [])
              .filter(({ version }) => version !== of.version)
              .map(({ version, devices }) => ({ value: version, label: `${version} (${devices})` }))}
            optionLabelProp="value"
          />
        </Form.Item>
      )}
      {draft.kind === 'DYNAMIC' && (
        <Checkbox checked={draft.onlyNew} onChange={({ target }) => set({ onlyNew: target.checked })}>
          {t('onlyNew')}
        </Checkbox>
      )}
    </Card>
  );
}

/** Devices picked by the beginning of their names, or typed. */
function Names({ productKey, draft, set }: Part & { productKey: string }) {
  const { t } = useText();
  const [prefix, setPrefix] = useState('');
  const found = useQuery({
    queryKey: ['devices', productKey, 'pick', prefix],
    queryFn: () =>
      ask(
        api.GET('/api/v1/products/{productKey}/devices', {
          params: { path: { productKey }, query: { prefix: prefix || undefined, limit: 20 } },
        }),
      ),
    placeholderData: (before) => before,
  });
  return (
    <Form.Item label={t('devices')} extra={t('scope.named.detail')}>
      <Select
        aria-label={t('devices')}
        mode="tags"
        tokenSeparators={[',', '\n', ' ']}
        value={draft.names}
        onChange={(names) => set({ names })}
        showSearch={{ filterOption: false, onSearch: setPrefix }}
        options={(found.data?.items ?? []).map(({ deviceName, online }) => ({
          value: deviceName,
          label: `${deviceName} · ${t(online ? 'device.online' : 'device.offline')}`,
        }))}
        optionLabelProp="value"
      />
    </Form.Item>
  );
}

function Csv({ draft, set }: Part) {
  const { t } = useText();
  return (
    <Form.Item label={t('devices')} extra={t('scope.csv.detail')}>
      <div className="stack">
        <CsvFile use={(csv) => set({ csv })} />
        <Input.TextArea aria-label={t('devices')} className="code" rows={5} value={draft.csv} onChange={({ target }) => set({ csv: target.value })} />
        <Checkbox checked={draft.leaveOutUnknown} onChange={({ target }) => set({ leaveOutUnknown: target.checked })}>
          {t('leaveOutUnknown')}
        </Checkbox>
      </div>
    </Form.Item>
  );
}

type NumberKey = { [K in keyof Draft]-?: number extends Draft[K] ? K : never }[keyof Draft];

function Strategy({ of, draft, set }: Part & { of: Package }) {
  const { t } = useText();
  const number = (key: Exclude<NumberKey, 'percent'>, usual: ReactNode, max?: number) => (
    <Form.Item label={t(`terms.${key}`)} extra={usual}>
      <InputNumber aria-label={t(`terms.${key}`)} min={0} max={max} value={draft[key] ?? null} onChange={(value) => set({ [key]: value ?? undefined })} />
    </Form.Item>
  );
  const check = (key: 'needPush' | 'needConfirm' | 'multiModule') => (
    <Checkbox checked={draft[key]} onChange={({ target }) => set({ [key]: target.checked })}>
      {t(`terms.${key}`)}
    </Checkbox>
  );
  const wavesWrong = wavesOf(draft.waves) === null;
  const notMqtt = whyNotMqtt(of);
  return (
    <div className="stack">
      {draft.kind === 'STATIC' && (
        <Card title={t('waves')}>
          <Form.Item label={t('waves')} extra={t('waves.detail')} validateStatus={wavesWrong ? 'error' : ''} help={wavesWrong ? t('waves.wrong') : undefined}>
            <Input aria-label={t('waves')} placeholder="1%, 10%, 100%" value={draft.waves} onChange={({ target }) => set({ waves: target.value })} />
          </Form.Item>
          <div className="grid">
            {number('soakMinutes', t('usual', { value: 60 }))}
            {number('minSuccessPercent', t('terms.minSuccessPercent.detail'), 100)}
          </div>
        </Card>
      )}
      <Card title={t('gates')}>
        <div className="grid">
          {number('maxFailurePercent', t('usual.none'), 100)}
          {number('maxFailures', t('usual.none'))}
        </div>
      </Card>
      <Card title={t('schedule')}>
        <div className="grid">
          {(['startAt', 'endAt'] as const).map((key) => (
            <Form.Item key={key} label={t(`terms.${key}`)}>
              <Input type="datetime-local" aria-label={t(`terms.${key}`)} value={draft[key]} onChange={({ target }) => set({ [key]: target.value })} />
            </Form.Item>
          ))}
        </div>
        <Windows of={draft.windows} use={(windows) => set({ windows })} />
      </Card>
      <Collapse
        items={[
          {
            key: 'more',
            label: t('moreTerms'),
            children: (
              <>
                <div className="grid">
                  {number('ratePerMinute', t('usual', { value: 10_000 }))}
                  {number('maxMbitPerSecond', t('usual.none'))}
                  {number('attempts', t('usual', { value: 3 }))}
                  {number('retryIntervalMinutes', t('usual', { value: 1 }))}
                  {number('timeoutMinutes', t('usual.none'))}
                  {number('startTimeoutMinutes', t('usual', { value: 30 }))}
                </div>
                <Form.Item label={t('overwrite')}>
                  <Segmented
                    vertical
                    value={draft.overwrite}
                    onChange={(overwrite) => set({ overwrite })}
                    options={(['keep', 'replace', 'queue'] as const).map((value) => ({ value, label: t(`overwrite.${value}`) }))}
                  />
                </Form.Item>
                <Form.Item label={t('protocol')} extra={notMqtt && t(notMqtt)}>
                  <Segmented<Draft['protocol']>
                    value={draft.protocol}
                    onChange={(protocol) => set({ protocol })}
                    options={[{ value: 'mqtt', label: 'MQTT', disabled: notMqtt !== null }, { value: 'http', label: 'HTTP(S)' }]}
                  />
                </Form.Item>
                <div className="stack">
                  {check('needPush')}
                  {check('needConfirm')}
                  {check('multiModule')}
                </div>
              </>
            ),
          },
        ]}
      />
    </div>
  );
}

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

function Windows({ of, use }: { of: WindowDraft[]; use: (windows: WindowDraft[]) => void }) {
  const { t } = useText();
  const change = (at: number, part: Partial<WindowDraft>) => use(of.map((window, i) => (i === at ? { ...window, ...part } : window)));
  return (
    <Form.Item label={t('windows')} extra={t('windows.detail')}>
      <div className="stack">
        {of.map((window, at) => (
          <div className="row" key={at}>
            <Select
              aria-label={t('days')}
              className="field wide"
              mode="multiple"
              placeholder={t('everyDay')}
              value={window.days}
              onChange={(days) => change(at, { days })}
              options={DAYS.map((value) => ({ value, label: t(`day.${value}`) }))}
            />
            {(['from', 'to'] as const).map((edge) => (
              <Input key={edge} type="time" aria-label={t(`window.${edge}`)} className="time" value={window[edge]} onChange={({ target }) => change(at, { [edge]: target.value })} />
            ))}
            <Button onClick={() => use(of.filter((_, i) => i !== at))}>{t('remove')}</Button>
          </div>
        ))}
        <div>
          <Button onClick={() => use([...of, { days: [], from: '22:00', to: '04:00' }])}>{t('windows.add')}</Button>
        </div>
      </div>
    </Form.Item>
  );
}

function Check({ of, draft, matched }: { of: Package; draft: Draft; matched: number | null }) {
  const text = useText();
  return (
    <Card title={text.t('wizard.summary')}>
      <ul>
        {summary(text, draft, of, matched).map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ul>
    </Card>
  );
}

function Numbers({ of }: { of: Forecast }) {
  const { t, n, code } = useText();
  const told = (kind: string, numbers: object) =>
    Object.entries(numbers as Record<string, number>)
      .filter(([, count]) => count > 0)
      .map(([key, count]) => <li key={key}>{`${code(kind, key)}: ${n(count)}`}</li>);
  const among = told('ofMatched', of.ofMatched);
  const excluded = told('excluded', of.excluded);
  const { estimate } = of;
  return (
    <div className="stack">
      <div className="grid tight">
        <Statistic title={t('dryRun.matched')} value={n(of.matched)} />
        <Statistic title={t('dryRun.onTarget')} value={n(of.onTarget)} />
        <Statistic title={t('dryRun.bytes')} value={bytes(estimate.bytes)} />
        <Statistic title={t('dryRun.duration')} value={span(estimate.seconds)} />
      </div>
      {of.matched > 0 && (
        <p>
          {t('dryRun.done')} <Time at={estimate.doneAt} />
        </p>
      )}
      {of.waves.length > 1 && <p>{t('dryRun.waves', { waves: of.waves.map(n).join(' + ') })}</p>}
      {among.length > 0 && (
        <div>
          {t('dryRun.among')}
          <ul>{among}</ul>
        </div>
      )}
      {excluded.length > 0 && (
        <div>
          {t('dryRun.excluded')}
          <ul>{excluded}</ul>
        </div>
      )}
      {of.unknownLines && <Alert type="warning" title={t('dryRun.unknown', { lines: of.unknownLines })} description={(of.unknown ?? []).map(({ deviceName }) => deviceName).join(', ')} />}
      {(of.warnings ?? []).map((warning) => (
        <Alert key={warning.code} type="warning" showIcon title={warning.text} />
      ))}
      {(of.heldAhead ?? []).map((held) => (
        <Alert key={held.jobId} type="warning" showIcon title={t('dryRun.heldAhead', { job: held.jobId, count: held.unfinished })} />
      ))}
    </div>
  );
}
