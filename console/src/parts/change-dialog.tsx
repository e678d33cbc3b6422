import { useMutation } from '@tanstack/react-query';
import { Alert, Radio } from 'antd';
import { type ReactNode, useState } from 'react';

import { Refusal } from '../api/client';
import { useText } from '../texts';
import { changed, type Choice, type Conflict, conflictsOf, type Fields, settled } from './change';
import { timeText } from './clock';
import { DataTable } from './data-table';
import { FormDialog } from './form-dialog';

interface Props {
  title: string;
  /** What there was when the dialog opened; null while it is closed. */
  before: Fields | null;
  close: () => void;
  /** Carries out a change, unless what it changes is no longer as expected. */
  send: (change: Fields, expected: Fields) => Promise<unknown>;
  /** Called once something was changed. */
  sent: () => Promise<unknown>;
  /** What a field is called. */
  nameOf: (field: string) => string;
  /** What is in the form to begin with, and what that says; the fields themselves if absent. */
  form?: { initialValues: Fields; fields: (wanted: Fields) => Fields };
  /** The fields. */
  children: ReactNode;
}

/** A dialog to change something that others may change meanwhile; if they do, the operator chooses field by field. */
export function ChangeDialog({ title, before, close, send, sent, nameOf, form, children }: Props) {
  const { t } = useText();
  const [conflicts, setConflicts] = useState<Conflict[]>([]);
  const [choices, setChoices] = useState<Record<string, Choice>>({});
  // A dialog that goes out of sight still shows what it did.
  const [shown, setShown] = useState(before);
  if (before && before !== shown) setShown(before);
  const order = useMutation({
    mutationFn: async (wanted: Fields) => {
      const whole = changed(shown ?? {}, form ? form.fields(wanted) : wanted);
      const { change, expected } = settled(whole, conflicts, choices);
      if (Object.keys(change).length === 0) return;
      try {
        await send(change, expected);
      } catch (error) {
        if (!(error instanceof Refusal) || error.problem.code !== 'changedMeanwhile') throw error;
        const more = conflictsOf(error.problem.params?.['now'] as Fields, change);
        const kept = conflicts.filter(({ name }) => !more.some((other) => other.name === name));
        setChoices((chosen) => Object.fromEntries(kept.flatMap(({ name }) => (chosen[name] ? [[name, chosen[name]]] : []))));
        setConflicts([...kept, ...more]);
        throw error;
      }
    },
    onSuccess: async () => {
      await sent();
      close();
    },
  });
  const undecided = conflicts.some(({ name }) => !choices[name]);
  return (
    <FormDialog<Fields>
      title={title}
      open={before !== null}
      close={close}
      closed={() => {
        setConflicts([]);
        setChoices({});
      }}
      order={order}
      quiet={conflicts.length > 0 && isConflict(order.error)}
      submit={t('save')}
      disabled={undecided}
      initialValues={form?.initialValues ?? shown ?? {}}
    >
      {children}
      {conflicts.length > 0 && (
        <Alert
          type="warning"
          showIcon
          role="alert"
          title={t('conflict.fields')}
          description={
            <Conflicts of={conflicts} nameOf={nameOf} choices={choices} choose={(name, choice) => setChoices({ ...choices, [name]: choice })} />
          }
        />
      )}
    </FormDialog>
  );
}

const isConflict = (error: unknown) => error instanceof Refusal && error.problem.code === 'changedMeanwhile';

interface ConflictsProps {
  of: Conflict[];
  nameOf: (field: string) => string;
  choices: Record<string, Choice>;
  choose: (name: string, choice: Choice) => void;
}

function Conflicts({ of, nameOf, choices, choose }: ConflictsProps) {
  const { t, language } = useText();
  const shown = (value: unknown) => {
    if (value === null || value === undefined || value === '') return t('nothing');
    if (typeof value === 'boolean') return t(value ? 'yes' : 'no');
    const text = String(value);
    return /^\d{4}-\d\d-\d\dT/.test(text) ? timeText(language, text) : text;
  };
  return (
    <DataTable<Conflict>
      aria-label={t('conflict.fields')}
      size="small"
      rowKey="name"
      dataSource={of}
      columns={[
        { title: t('field'), render: (_, { name }) => nameOf(name) },
        {
          title: t('conflict.choose'),
          render: (_, conflict) => (
            <Radio.Group
              vertical
              aria-label={nameOf(conflict.name)}
              value={choices[conflict.name] ?? null}
              onChange={({ target }) => choose(conflict.name, target.value as Choice)}
              options={(['theirs', 'mine'] as const).map((value) => ({
                value,
                label: t(`conflict.value.${value}`, { value: shown(conflict[value]) }),
              }))}
            />
          ),
        },
      ]}
    />
  );
}
