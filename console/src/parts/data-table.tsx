import { Table, type TableProps } from 'antd';
import { type ComponentRef, useEffect, useRef } from 'react';

/** A table whose columns can be scrolled through with the keyboard, where they are wider than the page. */
export function DataTable<T extends object>(props: TableProps<T>) {
  const table = useRef<ComponentRef<typeof Table>>(null);
  useEffect(() => {
    const scrolled = table.current?.nativeElement.querySelector('.ant-table-content');
    scrolled?.setAttribute('tabindex', '0');
  });
  return (
    <Table<T>
      ref={table}
      pagination={false}
      scroll={{ x: 'max-content' }}
      {...props}
    />
  );
}
