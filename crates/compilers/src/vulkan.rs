//! Compiles SPIR-V with the driver of a Vulkan device and reads the statistics of the driver's
//! compiler (`VK_KHR_pipeline_executable_properties`), such as registers, spills and code size.
//!
//! Nothing is dispatched, so the device need not exist in hardware. The environment selects the
//! driver (`VK_DRIVER_FILES`, or `VK_ICD_FILENAMES` for loaders before 1.3.207).

#![allow(
    unsafe_code,
    reason = "all functions of Vulkan are unsafe, and wgpu does not expose a compiler's statistics"
)]

use std::ffi::{CStr, CString};
use std::fmt;

use ash::{khr, vk};

/// A Vulkan device, used as a compiler. Several threads may share it.
pub struct Compiler {
    about: About,
    executables: khr::pipeline_executable_properties::Device,
    device: ash::Device,
    instance: ash::Instance,
    /// Vulkan's loader. Fields are dropped in order, so it outlives the objects that it created.
    _entry: ash::Entry,
}

/// Describes a device and its driver.
#[derive(Debug, Clone)]
pub struct About {
    /// The name of the device.
    pub device: String,
    /// The name of the driver, such as `radv`.
    pub driver: String,
    /// The version of the driver, such as `Mesa 22.3.6`.
    pub version: String,
    /// The smallest and the largest subgroup size.
    pub subgroups: (u32, u32),
    /// True if the driver checks the bounds of buffers (`robustBufferAccess2`). If it does, wgpu
    /// compiles no such checks.
    pub robust_buffers: bool,
    /// True if `f16` is supported in shaders and in buffers.
    pub f16: bool,
}

/// The type of a binding of descriptor set 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Buffer {
    /// A uniform buffer.
    Uniform,
    /// A storage buffer.
    Storage,
}

/// One of the programs compiled for a pipeline. Some drivers compile one per subgroup size.
#[derive(Debug, Clone)]
pub struct Executable {
    /// The name of the stage or phase.
    pub name: String,
    /// The subgroup size, or zero if the driver does not report it.
    pub subgroup: u32,
    /// In the driver's order.
    pub statistics: Vec<Statistic>,
}

impl Executable {
    /// Returns the value of the statistic called `name`, if the driver reports one.
    pub fn statistic(&self, name: &str) -> Option<Value> {
        let mut all = self.statistics.iter();
        all.find(|statistic| statistic.name == name)
            .map(|statistic| statistic.value)
    }
}

/// A statistic of a program.
#[derive(Debug, Clone)]
pub struct Statistic {
    /// The name that the driver gives it.
    pub name: String,
    /// The value.
    pub value: Value,
}

/// The value of a statistic, in the driver's type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Signed(i64),
    /// An unsigned integer.
    Unsigned(u64),
    /// A floating-point number.
    Float(f64),
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(out),
            Self::Signed(value) => value.fmt(out),
            Self::Unsigned(value) => value.fmt(out),
            Self::Float(value) => value.fmt(out),
        }
    }
}

/// Describes a failure: the call and its result.
pub type Error = String;

fn failed(call: &'static str) -> impl Fn(vk::Result) -> Error {
    move |error| format!("{call}: {error}")
}

impl Compiler {
    /// Opens the first device of the driver that the environment selects.
    ///
    /// Enables the features that wgpu enables: bounds checks of buffers, `f16` if the device
    /// supports it, and varying subgroup sizes.
    ///
    /// # Errors
    /// If there is no Vulkan loader, no driver, no device, or if the device lacks Vulkan 1.3 or
    /// `VK_KHR_pipeline_executable_properties`.
    pub fn open() -> Result<Self, Error> {
        // SAFETY: the library is Vulkan's loader, whose initialisers have no requirements. `_entry`
        // keeps it loaded while its functions are used.
        let entry = unsafe { ash::Entry::load() }
            .map_err(|error| format!("Vulkan's loader (libvulkan) could not be loaded: {error}"))?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        let create = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: `create` and the structures it points to live through the call.
        let instance =
            unsafe { entry.create_instance(&create, None) }.map_err(failed("vkCreateInstance"))?;
        match Self::first_device(&instance) {
            Ok((about, device)) => Ok(Self {
                about,
                executables: khr::pipeline_executable_properties::Device::new(&instance, &device),
                device,
                instance,
                _entry: entry,
            }),
            Err(error) => {
                // SAFETY: no object of the instance exists any more.
                unsafe { instance.destroy_instance(None) };
                Err(error)
            }
        }
    }

    fn first_device(instance: &ash::Instance) -> Result<(About, ash::Device), Error> {
        // SAFETY: the instance is valid.
        let devices = unsafe { instance.enumerate_physical_devices() }
            .map_err(failed("vkEnumeratePhysicalDevices"))?;
        let physical = *devices.first().ok_or("the driver reports no device")?;

        let mut driver = vk::PhysicalDeviceDriverProperties::default();
        let mut sizes = vk::PhysicalDeviceSubgroupSizeControlProperties::default();
        let mut properties = vk::PhysicalDeviceProperties2::default()
            .push_next(&mut driver)
            .push_next(&mut sizes);
        // SAFETY: the device belongs to the instance. The chained structures are part of Vulkan
        // 1.3; drivers must ignore structures that they do not support.
        unsafe { instance.get_physical_device_properties2(physical, &mut properties) };
        let properties = properties.properties;
        let device = text(properties.device_name_as_c_str());
        if properties.api_version < vk::API_VERSION_1_3 {
            return Err(format!("{device} lacks Vulkan 1.3"));
        }

        // SAFETY: as above.
        let extensions = unsafe { instance.enumerate_device_extension_properties(physical) }
            .map_err(failed("vkEnumerateDeviceExtensionProperties"))?;
        let has = |name: &CStr| {
            let mut names = extensions.iter();
            names.any(|extension| extension.extension_name_as_c_str() == Ok(name))
        };
        let mut enabled = vec![khr::pipeline_executable_properties::NAME.as_ptr()];
        if !has(khr::pipeline_executable_properties::NAME) {
            return Err(format!(
                "{device} lacks VK_KHR_pipeline_executable_properties"
            ));
        }
        let robustness2 = ash::ext::robustness2::NAME;
        if has(robustness2) {
            enabled.push(robustness2.as_ptr());
        }

        let mut robust = vk::PhysicalDeviceRobustness2FeaturesEXT::default();
        let mut half = vk::PhysicalDeviceShaderFloat16Int8Features::default();
        let mut storage = vk::PhysicalDevice16BitStorageFeatures::default();
        let mut core = vk::PhysicalDeviceFeatures2::default()
            .push_next(&mut half)
            .push_next(&mut storage);
        if has(robustness2) {
            core = core.push_next(&mut robust);
        }
        // SAFETY: as above. The structure of an extension is chained only if the device supports
        // the extension.
        unsafe { instance.get_physical_device_features2(physical, &mut core) };
        let robust_access = core.features.robust_buffer_access == vk::TRUE;

        let about = About {
            device,
            driver: text(driver.driver_name_as_c_str()),
            version: text(driver.driver_info_as_c_str()),
            subgroups: (sizes.min_subgroup_size, sizes.max_subgroup_size),
            robust_buffers: robust.robust_buffer_access2 == vk::TRUE,
            f16: half.shader_float16 == vk::TRUE
                && storage.storage_buffer16_bit_access == vk::TRUE
                && storage.uniform_and_storage_buffer16_bit_access == vk::TRUE,
        };

        let mut statistics = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default()
            .pipeline_executable_info(true);
        // Every device of Vulkan 1.3 supports this feature.
        let mut varying =
            vk::PhysicalDeviceSubgroupSizeControlFeatures::default().subgroup_size_control(true);
        let mut robust = vk::PhysicalDeviceRobustness2FeaturesEXT::default()
            .robust_buffer_access2(about.robust_buffers);
        let mut half =
            vk::PhysicalDeviceShaderFloat16Int8Features::default().shader_float16(about.f16);
        let mut storage = vk::PhysicalDevice16BitStorageFeatures::default()
            .storage_buffer16_bit_access(about.f16)
            .uniform_and_storage_buffer16_bit_access(about.f16);
        let core = vk::PhysicalDeviceFeatures::default().robust_buffer_access(robust_access);
        let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
        let mut create = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&enabled)
            .enabled_features(&core)
            .push_next(&mut statistics)
            .push_next(&mut varying)
            .push_next(&mut half)
            .push_next(&mut storage);
        if about.robust_buffers {
            create = create.push_next(&mut robust);
        }
        // SAFETY: `create` and the structures it points to live through the call. The device
        // supports every extension and feature in it, and every device has a queue family 0.
        let device = unsafe { instance.create_device(physical, &create, None) }
            .map_err(failed("vkCreateDevice"))?;
        Ok((about, device))
    }

    /// Describes the device.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Compiles the compute shader `entry` of a SPIR-V module and returns the statistics of the
    /// programs.
    ///
    /// The module's buffers are at the given bindings of descriptor set 0. The module must be valid
    /// and use only features that `about` lists: Vulkan does not define what a driver does with any
    /// other.
    ///
    /// # Errors
    /// If the driver rejects the module or reports no program.
    pub fn compile(
        &self,
        words: &[u32],
        entry: &str,
        bindings: &[(u32, Buffer)],
    ) -> Result<Vec<Executable>, Error> {
        let entry = CString::new(entry).map_err(|error| error.to_string())?;
        let mut made = Made::new(&self.device);
        let pipeline = made.pipeline(words, &entry, bindings)?;

        let info = vk::PipelineInfoKHR::default().pipeline(pipeline);
        // SAFETY: the extension and its feature are enabled, and the pipeline belongs to the
        // device.
        let executables = unsafe { self.executables.get_pipeline_executable_properties(&info) }
            .map_err(failed("vkGetPipelineExecutablePropertiesKHR"))?;
        if executables.is_empty() {
            return Err("the driver reports no executable".to_owned());
        }
        (0..)
            .zip(executables)
            .map(|(index, executable)| {
                let info = vk::PipelineExecutableInfoKHR::default()
                    .pipeline(pipeline)
                    .executable_index(index);
                // SAFETY: as above. The pipeline was created with `CAPTURE_STATISTICS` and has an
                // executable of this index.
                let statistics =
                    unsafe { self.executables.get_pipeline_executable_statistics(&info) }
                        .map_err(failed("vkGetPipelineExecutableStatisticsKHR"))?;
                Ok(Executable {
                    name: text(executable.name_as_c_str()),
                    subgroup: executable.subgroup_size,
                    statistics: statistics.iter().map(typed).collect::<Result<_, _>>()?,
                })
            })
            .collect()
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        // SAFETY: `compile` destroys all objects that it creates, and no thread uses the device any
        // more.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}

/// A pipeline and the objects that it is created from, destroyed together.
struct Made<'a> {
    device: &'a ash::Device,
    module: vk::ShaderModule,
    bindings: vk::DescriptorSetLayout,
    layout: vk::PipelineLayout,
    pipeline: vk::Pipeline,
}

impl<'a> Made<'a> {
    fn new(device: &'a ash::Device) -> Self {
        Self {
            device,
            module: vk::ShaderModule::null(),
            bindings: vk::DescriptorSetLayout::null(),
            layout: vk::PipelineLayout::null(),
            pipeline: vk::Pipeline::null(),
        }
    }

    fn pipeline(
        &mut self,
        words: &[u32],
        entry: &CStr,
        bindings: &[(u32, Buffer)],
    ) -> Result<vk::Pipeline, Error> {
        let module = vk::ShaderModuleCreateInfo::default().code(words);
        // SAFETY: `compile` requires a valid module.
        self.module = unsafe { self.device.create_shader_module(&module, None) }
            .map_err(failed("vkCreateShaderModule"))?;

        let bindings: Vec<_> = bindings
            .iter()
            .map(|(binding, buffer)| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(*binding)
                    .descriptor_type(match buffer {
                        Buffer::Uniform => vk::DescriptorType::UNIFORM_BUFFER,
                        Buffer::Storage => vk::DescriptorType::STORAGE_BUFFER,
                    })
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let bindings = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: the structure and its slice live through the call.
        self.bindings = unsafe { self.device.create_descriptor_set_layout(&bindings, None) }
            .map_err(failed("vkCreateDescriptorSetLayout"))?;

        let sets = [self.bindings];
        let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
        // SAFETY: as above. The descriptor set's layout is valid.
        self.layout = unsafe { self.device.create_pipeline_layout(&layout, None) }
            .map_err(failed("vkCreatePipelineLayout"))?;

        let stage = vk::PipelineShaderStageCreateInfo::default()
            // As wgpu does on a device with subgroups. The feature is enabled.
            .flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE)
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(self.module)
            .name(entry);
        let create = vk::ComputePipelineCreateInfo::default()
            .flags(vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR)
            .stage(stage)
            .layout(self.layout);
        // SAFETY: the module and the layout belong to the device and live through the call, as do
        // the structures.
        let pipelines = unsafe {
            let none = vk::PipelineCache::null();
            self.device.create_compute_pipelines(none, &[create], None)
        };
        let pipelines = pipelines
            .map_err(|(_, error)| error)
            .map_err(failed("vkCreateComputePipelines"))?;
        // A successful call returns as many pipelines as were requested: one.
        self.pipeline = pipelines[0];
        Ok(self.pipeline)
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        // SAFETY: each object belongs to this device or is null, which these functions ignore. No
        // dispatch uses them.
        unsafe {
            self.device.destroy_pipeline(self.pipeline, None);
            self.device.destroy_pipeline_layout(self.layout, None);
            self.device
                .destroy_descriptor_set_layout(self.bindings, None);
            self.device.destroy_shader_module(self.module, None);
        }
    }
}

fn typed(statistic: &vk::PipelineExecutableStatisticKHR<'_>) -> Result<Statistic, Error> {
    use vk::PipelineExecutableStatisticFormatKHR as Format;
    let value = statistic.value;
    let name = text(statistic.name_as_c_str());
    // SAFETY: `format` names the field of the union that the driver wrote.
    let value = unsafe {
        match statistic.format {
            Format::BOOL32 => Value::Bool(value.b32 == vk::TRUE),
            Format::INT64 => Value::Signed(value.i64),
            Format::UINT64 => Value::Unsigned(value.u64),
            Format::FLOAT64 => Value::Float(value.f64),
            other => return Err(format!("statistic {name} has the unknown format {other:?}")),
        }
    };
    Ok(Statistic { name, value })
}

/// Converts a fixed-size string of Vulkan. A string without a terminator becomes empty.
fn text<E>(chars: Result<&CStr, E>) -> String {
    chars.map_or_else(
        |_| String::new(),
        |chars| chars.to_string_lossy().into_owned(),
    )
}
