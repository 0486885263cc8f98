//! Collects the nodes of an ONNX graph and gives every value a name of its own. Knows nothing of networks.

use std::collections::HashSet;

use super::onnx::{self, Element, Size};

/// A graph that grows node by node.
#[derive(Default)]
pub(super) struct Builder {
    graph: onnx::Graph,
    names: HashSet<String>,
}

/// What a node is besides its op and its inputs.
pub(super) enum Setting<'a> {
    Float(f32),
    Int(i64),
    Ints(Vec<i64>),
    Strings(Vec<&'a str>),
}

/// The domain of the ops for classical machine learning.
pub(super) const ML: &str = "ai.onnx.ml";

impl Builder {
    /// Keeps a name for an output.
    pub fn reserve(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }

    /// `name`, or with as many `_` behind it as make it new.
    fn free(&mut self, name: &str) -> String {
        let mut name = name.to_owned();
        while !self.names.insert(name.clone()) {
            name.push('_');
        }
        name
    }

    /// An input `[N, …]`; returns its name, which is another where the wanted one is taken.
    pub fn input(&mut self, name: &str, element: Element, sizes: &[usize], about: String) -> String {
        let name = self.free(name);
        let mut value = value(&name, element, sizes);
        value.doc_string = Some(about);
        self.graph.input.push(value);
        name
    }

    /// Makes a value, whose name was kept before, an output `[N, …]`.
    pub fn output(&mut self, name: &str, from: &str, element: Element, sizes: &[usize]) {
        self.push("Identity", "", &[from], name.to_owned(), &[]);
        self.graph.output.push(value(name, element, sizes));
    }

    /// A node of the standard ops; returns the name of what it makes.
    pub fn node(&mut self, op: &str, inputs: &[&str], settings: &[(&str, Setting)]) -> String {
        self.add(op, "", inputs, settings)
    }

    /// A node of the ops for classical machine learning.
    pub fn ml_node(&mut self, op: &str, inputs: &[&str], settings: &[(&str, Setting)]) -> String {
        self.add(op, ML, inputs, settings)
    }

    fn add(&mut self, op: &str, domain: &str, inputs: &[&str], settings: &[(&str, Setting)]) -> String {
        let made = self.free(&format!("wgrad/{}_{}", op.to_lowercase(), self.graph.node.len()));
        self.push(op, domain, inputs, made.clone(), settings);
        made
    }

    fn push(&mut self, op: &str, domain: &str, inputs: &[&str], made: String, settings: &[(&str, Setting)]) {
        self.graph.node.push(onnx::Node {
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: vec![made],
            name: Some(format!("{op}_{}", self.graph.node.len())),
            op_type: Some(op.to_owned()),
            attribute: settings.iter().map(|(name, setting)| attribute(name, setting)).collect(),
            domain: Some(domain.to_owned()).filter(|domain| !domain.is_empty()),
        });
    }

    /// A constant of this shape; returns its name.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, Element::Float, shape, Some(raw), Vec::new())
    }

    pub fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, Element::Int64, &[values.len()], Some(raw), Vec::new())
    }

    pub fn strings(&mut self, name: &str, values: &[String]) -> String {
        let bytes = values.iter().map(|value| value.as_bytes().to_vec()).collect();
        self.constant(name, Element::String, &[values.len()], None, bytes)
    }

    fn constant(
        &mut self,
        name: &str,
        element: Element,
        shape: &[usize],
        raw: Option<Vec<u8>>,
        strings: Vec<Vec<u8>>,
    ) -> String {
        let name = self.free(name);
        self.graph.initializer.push(onnx::Tensor {
            dims: shape.iter().map(|&size| size as i64).collect(),
            data_type: Some(element as i32),
            string_data: strings,
            name: Some(name.clone()),
            raw_data: raw,
        });
        name
    }

    pub fn finish(mut self, name: &str) -> onnx::Graph {
        self.graph.name = Some(name.to_owned());
        self.graph
    }
}

/// A value of any number of rows.
fn value(name: &str, element: Element, sizes: &[usize]) -> onnx::ValueInfo {
    let sizes = sizes.iter().map(|&size| Size::Value(size as i64));
    let dim = std::iter::once(Size::Any("N".into())).chain(sizes).map(|size| onnx::Dimension { size: Some(size) });
    let shape = onnx::Shape { dim: dim.collect() };
    let tensor = onnx::TensorType { elem_type: Some(element as i32), shape: Some(shape) };
    onnx::ValueInfo {
        name: Some(name.to_owned()),
        r#type: Some(onnx::Type { tensor_type: Some(tensor) }),
        doc_string: None,
    }
}

fn attribute(name: &str, setting: &Setting) -> onnx::Attribute {
    let mut attribute = onnx::Attribute { name: Some(name.to_owned()), ..onnx::Attribute::default() };
    attribute.kind = Some(match setting {
        Setting::Float(f) => {
            attribute.f = Some(*f);
            1
        }
        Setting::Int(i) => {
            attribute.i = Some(*i);
            2
        }
        Setting::Ints(ints) => {
            attribute.ints.clone_from(ints);
            7
        }
        Setting::Strings(strings) => {
            attribute.strings = strings.iter().map(|text| text.as_bytes().to_vec()).collect();
            8
        }
    });
    attribute
}
