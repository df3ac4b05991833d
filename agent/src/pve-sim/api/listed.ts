/** A page of a longer list: its answer says beside the data how many there are. */
export class Listed {
  readonly data: readonly unknown[];
  readonly total: number;

  constructor(data: readonly unknown[], total: number) {
    this.data = data;
    this.total = total;
  }
}
