import { Button, Upload } from 'antd';

import { decoded } from '../api/csv';
import { useText } from '../texts';

/** Reads a CSV file of the operator's, which goes nowhere by that. */
export function CsvFile({ use }: { use: (text: string) => void }) {
  const { t } = useText();
  return (
    <Upload
      accept=".csv,text/csv,text/plain"
      showUploadList={false}
      beforeUpload={(file) => {
        void file.arrayBuffer().then((bytes) => use(decoded(bytes)));
        return false;
      }}
    >
      <Button>{t('chooseFile')}</Button>
    </Upload>
  );
}
