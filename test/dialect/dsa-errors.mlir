// RUN: ds-opt %s -split-input-file -verify-diagnostics

func.func @heads(%q: tensor<?x256xbf16>, %w: tensor<?x8xf32>,
                 %k: !ds.state<[2, 32], bf16>, %s: !ds.seq) {
  // expected-error @below {{expects keys of one head}}
  %p = ds.select_tokens %q, %w, %k, %s heads 8 count 24
      : (tensor<?x256xbf16>, tensor<?x8xf32>, !ds.state<[2, 32], bf16>, !ds.seq)
     -> tensor<?x24xi32>
  return
}

// -----

func.func @weights(%q: tensor<?x256xbf16>, %w: tensor<?x8xbf16>,
                   %k: !ds.state<[1, 32], bf16>, %s: !ds.seq) {
  // expected-error @below {{expects weights of 8 columns of f32}}
  %p = ds.select_tokens %q, %w, %k, %s heads 8 count 24
      : (tensor<?x256xbf16>, tensor<?x8xbf16>, !ds.state<[1, 32], bf16>, !ds.seq)
     -> tensor<?x24xi32>
  return
}

// -----

func.func @count(%q: tensor<?x256xbf16>, %w: tensor<?x8xf32>,
                 %k: !ds.state<[1, 32], bf16>, %s: !ds.seq) {
  // expected-error @below {{expects a result of count (24) columns, got 25}}
  %p = ds.select_tokens %q, %w, %k, %s heads 8 count 24
      : (tensor<?x256xbf16>, tensor<?x8xf32>, !ds.state<[1, 32], bf16>, !ds.seq)
     -> tensor<?x25xi32>
  return
}

// -----

func.func @prefix(%q: tensor<?x192xbf16>, %c: !ds.state<[1, 48], bf16>,
                  %p: tensor<?x24xi32>, %s: !ds.seq) {
  // expected-error @below {{expects a prefix where there are entries}}
  %y = ds.attend %q, %c, %c, %s entries %p : tensor<?x24xi32> heads 4 scale 0.2
      : (tensor<?x192xbf16>, !ds.state<[1, 48], bf16>, !ds.state<[1, 48], bf16>)
     -> tensor<?x192xbf16>
  return
}

// -----

func.func @gradients(%q: tensor<?x192xbf16>, %c: !ds.state<[1, 48], bf16>,
                     %y: tensor<?x128xbf16>, %l: tensor<?x4xf32>, %s: !ds.seq) {
  // expected-error @below {{expects a gradient of the values or a prefix}}
  %dq, %dk, %dv = ds.attend_backward %q, %c, %c, %y, %l, %y, %s heads 4
      scale 0.2 prefix 32
      : (tensor<?x192xbf16>, !ds.state<[1, 48], bf16>, !ds.state<[1, 48], bf16>,
         tensor<?x128xbf16>, tensor<?x4xf32>, tensor<?x128xbf16>, !ds.seq)
     -> (tensor<?x192xbf16>, tensor<?x48xbf16>, tensor<?x32xbf16>)
  return
}

// -----

func.func @norm(%x: tensor<?x32xbf16>, %g: tensor<32xbf16>, %b: tensor<31xbf16>) {
  // expected-error @below {{expects a weight of 32 elements}}
  %y = ds.layer_norm %x, %g, %b eps 1.0e-6
      : (tensor<?x32xbf16>, tensor<32xbf16>, tensor<31xbf16>) -> tensor<?x32xbf16>
  return
}

// -----

func.func @share(%q: tensor<?x191xbf16>, %c: !ds.state<[1, 48], bf16>,
                 %p: tensor<?x24xi32>, %s: !ds.seq) {
  // expected-error @below {{expects queries of 4 x 48 columns, got 191}}
  %a = ds.entry_share %q, %c, %s entries %p heads 4 scale 0.2
      : (tensor<?x191xbf16>, !ds.state<[1, 48], bf16>, !ds.seq, tensor<?x24xi32>)
     -> tensor<?x24xf32>
  return
}

// -----

func.func @share_columns(%q: tensor<?x192xbf16>, %c: !ds.state<[1, 48], bf16>,
                         %p: tensor<?x24xi32>, %s: !ds.seq) {
  // expected-error @below {{expects a result of 24 columns, one for each entry, got 25}}
  %a = ds.entry_share %q, %c, %s entries %p heads 4 scale 0.2
      : (tensor<?x192xbf16>, !ds.state<[1, 48], bf16>, !ds.seq, tensor<?x24xi32>)
     -> tensor<?x25xf32>
  return
}

// -----

func.func @latent_share(%q: tensor<?x128xbf16>, %c: !ds.state<[1, 48], bf16>,
                        %w: tensor<128x32xbf16>, %p: tensor<?x24xi32>,
                        %s: !ds.seq) {
  // expected-error @below {{expects a result of 24 columns}}
  %a = ds.mla_entry_share %q, %c, %w, %s entries %p : tensor<?x24xi32>
      <count = 4, nope = 16, value = 16, rank = 32, rope = 16> scale 0.2
      : (tensor<?x128xbf16>, !ds.state<[1, 48], bf16>, tensor<128x32xbf16>)
     -> tensor<?x23xf32>
  return
}

// -----

func.func @scores(%q: tensor<?x256xbf16>, %w: tensor<?x8xf32>,
                  %k: !ds.state<[1, 32], bf16>, %p: tensor<?x24xi32>,
                  %s: !ds.seq) {
  // expected-error @below {{expects queries of 7 x 32 columns, got 256}}
  %i = ds.index_scores %q, %w, %k, %s entries %p heads 7 scale 0.1
      : (tensor<?x256xbf16>, tensor<?x8xf32>, !ds.state<[1, 32], bf16>, !ds.seq,
         tensor<?x24xi32>) -> tensor<?x24xf32>
  return
}

// -----

func.func @scores_gradient(%g: tensor<?x23xf32>, %q: tensor<?x256xbf16>,
                           %w: tensor<?x8xf32>, %k: !ds.state<[1, 32], bf16>,
                           %p: tensor<?x24xi32>, %s: !ds.seq) {
  // expected-error @below {{expects a gradient of 24 columns, one for each entry, got 23}}
  %dq, %dw, %dk = ds.index_scores_backward %g, %q, %w, %k, %s entries %p heads 8 scale 0.1
      : (tensor<?x23xf32>, tensor<?x256xbf16>, tensor<?x8xf32>,
         !ds.state<[1, 32], bf16>, !ds.seq, tensor<?x24xi32>)
     -> (tensor<?x256xbf16>, tensor<?x8xf32>, tensor<?x32xbf16>)
  return
}

// -----

func.func @key_gradient(%g: tensor<?x24xf32>, %q: tensor<?x256xbf16>,
                        %w: tensor<?x8xf32>, %k: !ds.state<[1, 32], bf16>,
                        %p: tensor<?x24xi32>, %s: !ds.seq) {
  // expected-error @below {{expects a gradient of keys of 32 columns of 'bf16'}}
  %dq, %dw, %dk = ds.index_scores_backward %g, %q, %w, %k, %s entries %p heads 8 scale 0.1
      : (tensor<?x24xf32>, tensor<?x256xbf16>, tensor<?x8xf32>,
         !ds.state<[1, 32], bf16>, !ds.seq, tensor<?x24xi32>)
     -> (tensor<?x256xbf16>, tensor<?x8xf32>, tensor<?x32xf32>)
  return
}

// -----

func.func @weight_gradient(%g: tensor<?x24xf32>, %q: tensor<?x256xbf16>,
                           %w: tensor<?x8xf32>, %k: !ds.state<[1, 32], bf16>,
                           %p: tensor<?x24xi32>, %s: !ds.seq) {
  // expected-error @below {{expects a gradient of weights like 'tensor<?x8xf32>'}}
  %dq, %dw = ds.kernel.index_backward_query @back %g, %q, %w, %k, %s entries %p
      heads 8 scale 0.1
      : (tensor<?x24xf32>, tensor<?x256xbf16>, tensor<?x8xf32>,
         !ds.state<[1, 32], bf16>, !ds.seq, tensor<?x24xi32>)
     -> (tensor<?x256xbf16>, tensor<?x9xf32>)
  return
}

// -----

func.func @norm_gradient(%x: tensor<?x32xbf16>, %g: tensor<32xbf16>,
                         %d: tensor<?x31xbf16>) {
  // expected-error @below {{expects a gradient of 32 columns}}
  %dx, %dg = ds.layer_norm_backward %x, %g, %d eps 1.0e-6
      : (tensor<?x32xbf16>, tensor<32xbf16>, tensor<?x31xbf16>)
     -> (tensor<?x32xbf16>, tensor<?x32xf32>)
  return
}

// -----

func.func @norm_gain(%x: tensor<?x32xbf16>, %g: tensor<32xbf16>) {
  // expected-error @below {{expects a second result of f32 like the input}}
  %dx, %dg = ds.layer_norm_backward %x, %g, %x eps 1.0e-6
      : (tensor<?x32xbf16>, tensor<32xbf16>, tensor<?x32xbf16>)
     -> (tensor<?x32xbf16>, tensor<?x32xbf16>)
  return
}
