import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { Button, type TableColumnsType } from 'antd';
import { type Key, type ReactNode, useState } from 'react';
import { useLocation, useNavigate } from 'react-router';

import { filled } from '../api/pages';
import type { Page } from '../api/types';
import { useText } from '../texts';
import { DataTable } from './data-table';
import { ProblemAlert } from './problem';

interface Props<T> {
  /** The query's key, with everything that the list is narrowed by. */
  of: readonly unknown[];
  get: (cursor?: string) => Promise<Page<T>>;
  columns: TableColumnsType<T>;
  rowKey: (row: T) => Key;
  /** What is said when the list is empty. */
  empty: ReactNode;
  label: string;
  /** What opens below a row. */
  more?: (row: T) => ReactNode;
}

/** A list page by page. However long the list, the page holds no more than one page of it. */
export function CursorTable<T extends object>(props: Props<T>) {
  const narrowed = JSON.stringify(props.of);
  // Another list begins at its first page.
  return <Cursored key={narrowed} {...props} />;
}

function Cursored<T extends object>({ of, get, columns, rowKey, empty, label, more }: Props<T>) {
  const { t } = useText();
  const [cursors, setCursors] = usePages(JSON.stringify(of));
  const cursor = cursors.at(-1);
  const query = useQuery({
    queryKey: [...of, { cursor }],
    queryFn: () => filled(get, cursor),
    placeholderData: keepPreviousData,
  });
  const next = query.data?.nextCursor;
  return (
    <div className="stack">
      <ProblemAlert error={query.error} />
      <DataTable<T>
        aria-label={label}
        size="middle"
        rowKey={rowKey}
        columns={columns}
        expandable={more && { expandedRowRender: more }}
        dataSource={query.data?.items ?? []}
        loading={query.isLoading}
        locale={{ emptyText: query.data && !query.error ? empty : ' ' }}
      />
      {(cursors.length > 0 || next) && (
        <div className="row">
          <Button disabled={cursors.length === 0} onClick={() => setCursors(cursors.slice(0, -1))}>
            {t('previousPage')}
          </Button>
          <Button disabled={!next || query.isPlaceholderData} onClick={() => next && setCursors([...cursors, next])}>
            {t('nextPage')}
          </Button>
          <span>{t('pageNumber', { page: cursors.length + 1 })}</span>
        </div>
      )}
    </div>
  );
}

/** Where the pages up to this one begin; kept with the place in the browser's history, so that who comes back finds it. */
function usePages(list: string): [string[], (cursors: string[]) => void] {
  const { search, state } = useLocation();
  const navigate = useNavigate();
  const pages = (state as { pages?: Record<string, string[]> } | null)?.pages;
  const [cursors, setCursors] = useState<string[]>(() => pages?.[list] ?? []);
  const go = (next: string[]) => {
    setCursors(next);
    void navigate({ search }, { replace: true, state: { pages: { ...pages, [list]: next } } });
  };
  return [cursors, go];
}
