// RUN: ds-opt --split-input-file --verify-diagnostics %s

func.func @row_varies(%x: tensor<?x40xf32>) {
  // expected-error @below {{'ds.kernel.row' op expects what result 1 gets to be the same in all columns}}
  %y, %s = ds.kernel.row @r(%x) : (tensor<?x40xf32>) -> (tensor<?x40xf32>, tensor<?x1xf32>) {
  ^bb0(%a: f32):
    %sum = ds.row_reduce %a : f32
    %p = arith.mulf %a, %sum : f32
    ds.yield %p, %p : f32, f32
  }
  return
}

// -----

func.func @row_result_columns(%x: tensor<?x40xf32>) {
  // expected-error @below {{'ds.kernel.row' op expects results of 40 columns, got 'tensor<?x39xf32>'}}
  %y = ds.kernel.row @r(%x) : (tensor<?x40xf32>) -> tensor<?x39xf32> {
  ^bb0(%a: f32):
    ds.yield %a : f32
  }
  return
}

// -----

func.func @row_yield(%x: tensor<?x40xf32>) {
  // expected-error @below {{'ds.kernel.row' op expects the region to yield 'f32', 'bf16'}}
  %y, %z = ds.kernel.row @r(%x) : (tensor<?x40xf32>) -> (tensor<?x40xf32>, tensor<?x40xbf16>) {
  ^bb0(%a: f32):
    ds.yield %a, %a : f32, f32
  }
  return
}

// -----

func.func @row_no_result(%x: tensor<?x40xf32>) {
  // expected-error @below {{'ds.kernel.row' op expects a result}}
  "ds.kernel.row"(%x) <{sym_name = "r"}> ({
  ^bb0(%a: f32):
    ds.yield
  }) : (tensor<?x40xf32>) -> ()
  return
}

// -----

func.func @math(%x: tensor<?x40xf32>) {
  // expected-error @below {{'ds.kernel.elementwise' op expects a region of scalar arith and math}}
  %y = ds.kernel.elementwise @r(%x) : (tensor<?x40xf32>) -> tensor<?x40xf32> {
  ^bb0(%a: f32):
    // expected-note @below {{found 'math.tanh'}}
    %t = math.tanh %a : f32
    ds.yield %t : f32
  }
  return
}

// -----

func.func @pairs_columns(%x: tensor<?x80xf32>) {
  // expected-error @below {{'ds.kernel.elementwise' op expects operands of 40 columns, got 'tensor<?x80xf32>'}}
  %y = ds.kernel.elementwise @r(%x) pairs : (tensor<?x80xf32>) -> tensor<?x40xf32> {
  ^bb0(%a: f32, %b: f32):
    ds.yield %a : f32
  }
  return
}

// -----

func.func @pairs_arguments(%x: tensor<?x96xf32>) {
  // expected-error @below {{'ds.kernel.elementwise' op expects a region of 2 arguments, got 1}}
  %y = ds.kernel.elementwise @r(%x) pairs : (tensor<?x96xf32>) -> tensor<?x40xf32> {
  ^bb0(%a: f32):
    ds.yield %a : f32
  }
  return
}

// -----

func.func @columns_width(%x: tensor<?x40xf32>, %g: tensor<39xf32>) {
  // expected-error @below {{'ds.kernel.columns' op expects operands of 39 columns, got 'tensor<?x40xf32>'}}
  ds.kernel.columns @c(%x) into %g : (tensor<?x40xf32>) -> tensor<39xf32> {
  ^bb0(%a: f32):
    ds.yield %a : f32
  }
  return
}

// -----

func.func @columns_reduce(%x: tensor<?x40xf32>, %g: tensor<40xf32>) {
  // expected-error @below {{'ds.kernel.columns' op expects a region of scalar arith and math}}
  ds.kernel.columns @c(%x) into %g : (tensor<?x40xf32>) -> tensor<40xf32> {
  ^bb0(%a: f32):
    // expected-note @below {{found 'ds.row_reduce'}}
    %s = ds.row_reduce %a : f32
    ds.yield %s : f32
  }
  return
}

// -----

func.func @log_prob_columns(%z: tensor<?x301xf32>, %t: tensor<?x2xi32>, %i: tensor<?x1xf32>) {
  // expected-error @below {{'ds.kernel.log_prob' op expects row values of 1 columns, got 'tensor<?x2xi32>'}}
  %p, %lse = ds.kernel.log_prob @p %z, %t, %i : (tensor<?x301xf32>, tensor<?x2xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  return
}

// -----

func.func @log_prob_backward_columns(%z: tensor<?x301xf32>, %t: tensor<?x1xi32>, %i: tensor<?x1xf32>) {
  // expected-error @below {{'ds.kernel.log_prob_backward' op expects a result of 301 columns, got 'tensor<?x300xf32>'}}
  %d = ds.kernel.log_prob_backward @d %z, %t, %i, %i, %i : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>) -> tensor<?x300xf32>
  return
}

// -----

func.func @scatter_embedding_columns(%x: tensor<?x64xf32>, %g: tensor<301x65xf32>, %s: !ds.seq) {
  // expected-error @below {{'ds.kernel.scatter_embedding' op expects rows of 65 columns, got 'tensor<?x64xf32>'}}
  ds.kernel.scatter_embedding @embed %x, %s into %g : tensor<?x64xf32> -> tensor<301x65xf32>
  return
}

// -----

func.func @gather_type(%x: tensor<?x64xf32>, %s: !ds.seq) {
  // expected-error @below {{'ds.kernel.gather_rows' op expects a result of type 'tensor<?x64xf32>', got 'tensor<?x64xbf16>'}}
  %y = ds.kernel.gather_rows @gather %x, %s : tensor<?x64xf32> -> tensor<?x64xbf16>
  return
}

// -----

func.func @concat_parts(%x: tensor<?x64xf32>) {
  // expected-error @below {{'ds.kernel.concat_heads' op expects a part for each of 1 inputs, got 0}}
  %y = ds.kernel.concat_heads @c(%x) [] : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @concat_fill(%x: tensor<?x64xf32>) {
  // expected-error @below {{'ds.kernel.concat_heads' op expects part #ds.heads_part<heads = 3, dim = 16, rotate = false> to fill 'tensor<?x64xf32>'}}
  %y = ds.kernel.concat_heads @c(%x) [#ds.heads_part<heads = 3, dim = 16, rotate = false>] : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @concat_rope(%x: tensor<?x64xf32>) {
  // expected-error @below {{'ds.kernel.concat_heads' op expects a rope that fits part #ds.heads_part<heads = 4, dim = 16, rotate = true>}}
  %y = ds.kernel.concat_heads @c(%x) [#ds.heads_part<heads = 4, dim = 16, rotate = true>] : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @concat_columns(%x: tensor<?x64xf32>) {
  // expected-error @below {{'ds.kernel.concat_heads' op expects a result of 64 columns, got 'tensor<?x65xf32>'}}
  %y = ds.kernel.concat_heads @c(%x) [#ds.heads_part<heads = 4, dim = 16, rotate = false>] : (tensor<?x64xf32>) -> tensor<?x65xf32>
  return
}

// -----

func.func @adamw_moments(%p: tensor<64x74xf32>, %m: tensor<64x75xf32>, %w: tensor<64x74xbf16>, %h: tensor<16xf32>) {
  // expected-error @below {{'ds.kernel.adamw' op expects moments and a gradient of type 'tensor<64x74xf32>', got 'tensor<64x75xf32>'}}
  ds.kernel.adamw @a %p, %m, %p, %p, %w, %h layout panel_bf16 : tensor<64x74xf32>, tensor<64x75xf32>, tensor<64x74xf32>, tensor<64x74xf32>, tensor<64x74xbf16>, tensor<16xf32>
  return
}

// -----

func.func @adamw_layout(%p: tensor<64x74xf32>, %w: tensor<64x74xf32>, %h: tensor<16xf32>) {
  // expected-error @below {{'ds.kernel.adamw' op expects a layout of a tensor of rank 2}}
  ds.kernel.adamw @a %p, %p, %p, %p, %w, %h layout vector_f32 : tensor<64x74xf32>, tensor<64x74xf32>, tensor<64x74xf32>, tensor<64x74xf32>, tensor<64x74xf32>, tensor<16xf32>
  return
}

// -----

func.func @adamw_packed(%p: tensor<64x74xf32>, %w: tensor<64x75xbf16>, %h: tensor<16xf32>) {
  // expected-error @below {{'ds.kernel.adamw' op expects a packed weight of the shape of 'tensor<64x74xf32>', got 'tensor<64x75xbf16>'}}
  ds.kernel.adamw @a %p, %p, %p, %p, %w, %h layout panel_bf16 : tensor<64x74xf32>, tensor<64x74xf32>, tensor<64x74xf32>, tensor<64x74xf32>, tensor<64x75xbf16>, tensor<16xf32>
  return
}

// -----

func.func @adamw_hyper(%p: tensor<64x74xf32>, %w: tensor<64x74xbf16>, %h: tensor<8xf32>) {
  // expected-error @below {{'ds.kernel.adamw' op expects 16 hyperparameters}}
  ds.kernel.adamw @a %p, %p, %p, %p, %w, %h layout panel_bf16 : tensor<64x74xf32>, tensor<64x74xf32>, tensor<64x74xf32>, tensor<64x74xf32>, tensor<64x74xbf16>, tensor<8xf32>
  return
}
