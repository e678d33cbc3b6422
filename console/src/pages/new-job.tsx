import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Alert, Button, Card, Checkbox, Collapse, Form, Input, InputNumber, Segmented, Select, Spin, Statistic, Steps } from 'antd';
import { type ReactNode, useDeferredValue, useEffect, useRef, useState } from 'react';
import { Link, useNavigate, useParams } from 'react-router';

import { api, ask, randomKey, Refusal } from '../api/client';
import { keep, kept, letGo } from '../api/kept';
import type { Forecast, NewJob, Package } from '../api/types';
import { Time } from '../parts/bits';
import { CsvFile } from '../parts/csv-file';
import { zoneText } from '../parts/clock';
import { FilterHelp } from '../parts/filter-help';
import { Loaded } from '../parts/loaded';
import { namesIn, SEPARATOR } from '../parts/names';
import { bytes, span } from '../parts/numbers';
import { Page } from '../parts/page';
import { ProblemAlert, Warnings } from '../parts/problem';
import { fieldsOf, problemText } from '../parts/problem-text';
import { isTag } from '../parts/tags';
import { useText } from '../texts';
import {
  areWavesRight,
  type Draft,
  draftFor,
  fitting,
  isScopeWhole,
  isUnbraked,
  isUnproven,
  kindsOf,
  needsSources,
  orderOf,
  SCOPES,
  summary,
  whyNotMqtt,
  type WindowDraft,
} from './draft';
import { usePackage } from './package';
import { useGroups } from './product-devices';
import { useProduct } from './product';

/** The dry run follows the typing at this distance. */
const CALM_MS = 400;

/** A list that is neither kept, nor shown in a field, nor sent again each time the numbers are asked for anew. */
const isLong = (csv: string) => csv.length > 200_000;

export default function NewJobPage() {
  const { t } = useText();
  const { packageId = '' } = useParams();
  const query = usePackage(packageId);
  const product = useProduct(query.data?.productKey ?? '');
  const name = query.data?.name ?? packageId;
  const within = [
    ...(product.data ? [{ text: product.data.name, to: `/products/${product.data.productKey}/packages` }] : []),
    { text: name, to: `/packages/${packageId}` },
  ];
  return (
    <Page title={t(query.data && isUnproven(query.data) ? 'verifyPackage.of' : 'newJob.of', { name })} within={within}>
      <Loaded query={query}>{(of) => <Wizard of={of} />}</Loaded>
    </Page>
  );
}

type Set = (part: Partial<Draft>) => void;

/** What was typed stays with the tab, whatever becomes of the page; all but a long list, which is in a file anyway. */
function useDraft(of: Package): [Draft, Set, () => void, () => void] {
  const key = `otaru-draft:${of.id}`;
  const [draft, setDraft] = useState<Draft>(() => ({ ...draftFor(of), ...kept<Draft>(key) }));
  useEffect(() => keep(key, isLong(draft.csv) ? { ...draft, csv: '' } : draft), [key, draft]);
  return [fitting(draft, of), (part) => setDraft((before) => ({ ...before, ...part })), () => letGo(key), () => setDraft(draftFor(of))];
}

function Wizard({ of }: { of: Package }) {
  const { t } = useText();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [step, setStep] = useState(0);
  const [draft, set, forget, anew] = useDraft(of);
  const order = orderOf(draft, of.id);
  const hasScope = isScopeWhole(draft, of);
  const whole = hasScope && areWavesRight(draft) && draft.tags.every(isTag);
  const forecast = useForecast(order, whole);
  const isRefused = whole && forecast.error instanceof Refusal;
  const isNew = JSON.stringify(draft) === JSON.stringify(draftFor(of));
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
        {step === 1 && <Strategy of={of} draft={draft} set={set} refusal={isRefused ? (forecast.error as Refusal) : null} />}
        {step === 2 && <Check of={of} draft={draft} set={set} matched={forecast.isOfThis ? forecast.data!.matched : null} />}
      </Form>
      <Card title={t('dryRun')} aria-live="polite" extra={whole && !forecast.isOfThis && !forecast.error && <Spin size="small" />}>
        {!hasScope && <p>{t('dryRun.notYet')}</p>}
        {hasScope && !whole && <p>{t(areWavesRight(draft) ? 'tags.oneWrong' : 'waves.wrong')}</p>}
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
          <Button type="primary" disabled={isRefused || (step === 0 ? !hasScope : !whole)} onClick={() => setStep(step + 1)}>
            {t('next')}
          </Button>
        )}
        {!isNew && (
          <Button
            onClick={() => {
              anew();
              setStep(0);
            }}
          >
            {t('wizard.anew')}
          </Button>
        )}
      </div>
    </div>
  );
}

/** What the order would do now, asked once the typing rests; until then `data` may be of the order before. */
function useForecast(order: NewJob, enabled: boolean) {
  const now = JSON.stringify(order);
  const text = useDeferredValue(now);
  const [calm, setCalm] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setCalm(text), CALM_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const { data, error, isPlaceholderData } = useQuery({
    queryKey: ['dry-run', calm],
    // The order before is not asked about again because this one is whole.
    enabled: enabled && calm === now,
    queryFn: () => ask(api.POST('/api/v1/jobs/dry-run', { body: JSON.parse(calm) as NewJob })),
    placeholderData: (before) => before,
    // Each is a look at the whole fleet.
    refetchInterval: isLong(calm) ? false : 60_000,
  });
  const isOfThis = data !== undefined && !error && !isPlaceholderData && calm === now;
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
        <Form.Item label={t('narrow.filter')} extra={<FilterHelp />}>
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

/** Devices picked by the beginning of their names, or pasted: text that is nobody's name is taken only with a separator. */
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
  const search = (text: string) => {
    if (!SEPARATOR.test(text)) return setPrefix(text);
    set({ names: [...new Set([...draft.names, ...namesIn(text).map(({ name }) => name)])] });
    setPrefix('');
  };
  return (
    <Form.Item label={t('devices')} extra={t('scope.named.detail')}>
      <Select
        aria-label={t('devices')}
        mode="multiple"
        value={draft.names}
        onChange={(names) => {
          set({ names });
          setPrefix('');
        }}
        showSearch={{ filterOption: false, searchValue: prefix, onSearch: search }}
        notFoundContent={found.isFetching ? <Spin size="small" /> : t('devices.noneFound')}
        options={(found.data?.items ?? [])
          .filter(({ deviceName }) => deviceName.startsWith(prefix))
          .map(({ deviceName, online }) => ({
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
        {isLong(draft.csv) ? (
          <div className="row">
            {t('scope.csv.long', { count: draft.csv.split('\n').length })}
            <Button size="small" onClick={() => set({ csv: '' })}>
              {t('remove')}
            </Button>
          </div>
        ) : (
          <Input.TextArea aria-label={t('devices')} className="code" rows={5} value={draft.csv} onChange={({ target }) => set({ csv: target.value })} />
        )}
        <Checkbox checked={draft.leaveOutUnknown} onChange={({ target }) => set({ leaveOutUnknown: target.checked })}>
          {t('leaveOutUnknown')}
        </Checkbox>
      </div>
    </Form.Item>
  );
}

type NumberKey = { [K in keyof Draft]-?: number extends Draft[K] ? K : never }[keyof Draft];

/** Waves that suit most fleets. */
const USUAL_WAVES = '1%, 10%, 100%';

function Strategy({ of, draft, set, refusal }: Part & { of: Package; refusal: Refusal | null }) {
  const text = useText();
  const { t, language } = text;
  // What is refused is told by its field too.
  const wrong = refusal ? fieldsOf(refusal.problem) : [];
  const told = (key: string) => (wrong.includes(key) ? { validateStatus: 'error' as const, help: problemText(text, refusal) } : {});
  const number = (key: Exclude<NumberKey, 'percent'>, usual: ReactNode, max?: number) => (
    <Form.Item label={t(`terms.${key}`)} extra={usual} {...told(key)}>
      <InputNumber aria-label={t(`terms.${key}`)} min={0} max={max} value={draft[key] ?? null} onChange={(value) => set({ [key]: value ?? undefined })} />
    </Form.Item>
  );
  const check = (key: 'needPush' | 'needConfirm' | 'multiModule' | 'rollbackFails') => (
    <Checkbox checked={draft[key]} onChange={({ target }) => set({ [key]: target.checked })}>
      {t(`terms.${key}`)}
    </Checkbox>
  );
  const wavesWrong = !areWavesRight(draft);
  const notMqtt = whyNotMqtt(of);
  return (
    <div className="stack">
      {draft.kind === 'STATIC' && (
        <Card title={t('waves')}>
          <Form.Item label={t('waves')} extra={t('waves.detail')} validateStatus={wavesWrong ? 'error' : ''} help={wavesWrong ? t('waves.wrong') : undefined}>
            <div className="row">
              <Input
                className="field wide"
                aria-label={t('waves')}
                placeholder={USUAL_WAVES}
                value={draft.waves}
                onChange={({ target }) => set({ waves: target.value })}
              />
              {draft.waves === '' && <Button onClick={() => set({ waves: USUAL_WAVES })}>{USUAL_WAVES}</Button>}
            </div>
          </Form.Item>
          <div className="grid">
            {number('soakMinutes', t('usual', { value: 60 }))}
            {number('minSuccessPercent', t('usual', { value: 90 }), 100)}
            {number('maxWaitMinutes', t('usual.zero', { value: 1_440 }))}
          </div>
        </Card>
      )}
      <Card title={t('gates')}>
        <div className="grid">
          {number('maxFailurePercent', t('usual.none'), 100)}
          {number('minOffers', t('usual', { value: 10 }))}
          {number('maxFailures', t('usual.none'))}
        </div>
      </Card>
      <Card title={t('schedule')}>
        <div className="grid">
          {(['startAt', 'endAt'] as const).map((key) => (
            <Form.Item key={key} label={t(`terms.${key}`)} extra={t(`wizard.${key}`, { zone: zoneText(language) })} {...told(key)}>
              <Input type="datetime-local" aria-label={t(`terms.${key}`)} value={draft[key]} onChange={({ target }) => set({ [key]: target.value })} />
            </Form.Item>
          ))}
        </div>
        <Checkbox disabled={!draft.endAt} checked={draft.endRunning} onChange={({ target }) => set({ endRunning: target.checked })}>
          {t('terms.endRunning')}
        </Checkbox>
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
                  {number('startTimeoutMinutes', t('usual.zero', { value: 30 }))}
                  {number('lostAfterMinutes', t('usual.zero', { value: 60 }))}
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
                <Form.Item label={t('terms.tags')} extra={t('terms.tags.detail')}>
                  <Select
                    aria-label={t('terms.tags')}
                    mode="tags"
                    open={false}
                    suffixIcon={null}
                    placeholder="ring=beta"
                    tokenSeparators={['\n']}
                    status={draft.tags.every(isTag) ? '' : 'error'}
                    value={draft.tags}
                    onChange={(tags) => set({ tags })}
                  />
                </Form.Item>
                <div className="stack">
                  {check('needPush')}
                  {check('needConfirm')}
                  {check('multiModule')}
                  {check('rollbackFails')}
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

/** Devices from which on waves are offered to whoever forgot them. */
const MANY = 100;

function Check({ of, draft, set, matched }: Part & { of: Package; matched: number | null }) {
  const text = useText();
  const { t } = text;
  const inWaves = draft.kind === 'STATIC' && (matched ?? 0) >= MANY && (
    <Button onClick={() => set({ waves: USUAL_WAVES })}>{t('summary.noBrake.waves', { waves: USUAL_WAVES })}</Button>
  );
  return (
    <Card title={t('wizard.summary')}>
      <div className="stack">
        {!areWavesRight(draft) && <Alert type="error" showIcon role="alert" title={t('waves.wrong')} />}
        {isUnbraked(draft) && <Alert type="warning" showIcon title={t('summary.noBrake')} action={inWaves} />}
        <ul>
          {summary(text, draft, of, matched).map((sentence) => (
            <li key={sentence}>{sentence}</li>
          ))}
        </ul>
      </div>
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
        <Statistic title={t('dryRun.duration')} value={span(estimate.seconds, t)} />
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
      <Warnings of={of.warnings} />
      {(of.heldAhead ?? []).map((held) => (
        <Alert
          key={held.jobId}
          type="warning"
          showIcon
          title={t('dryRun.heldAhead', { job: held.jobId, count: held.unfinished })}
          action={<Link to={`/jobs/${held.jobId}`}>{t('job')}</Link>}
        />
      ))}
    </div>
  );
}
