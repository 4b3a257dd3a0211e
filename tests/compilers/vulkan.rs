//! Compiles SPIR-V with the driver of a Vulkan device and reads the statistics that the driver's compiler reports
//! (`VK_KHR_pipeline_executable_properties`): registers, spills, code size, whatever it has.
//!
//! Nothing is dispatched, so devices without hardware will do. The environment selects the driver (`VK_DRIVER_FILES`, or
//! `VK_ICD_FILENAMES` for loaders before 1.3.207). Drivers read their own variables once per process, so one process sees
//! one device.
//!
//! This file needs only `ash`, so that other programs can include it by its path.

#![allow(
    unsafe_code,
    reason = "each function of Vulkan is unsafe, and wgpu does not expose what its compilers report"
)]

use std::ffi::{CStr, CString};
use std::fmt;

use ash::{khr, vk};

/// A Vulkan device as a compiler. It may be used by several threads at once.
pub(crate) struct Compiler {
    about: About,
    executables: khr::pipeline_executable_properties::Device,
    device: ash::Device,
    instance: ash::Instance,
    /// The loader's library, which must outlive all that was made by it: fields are dropped in this order.
    _entry: ash::Entry,
}

/// Describes a device and its driver.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// The name of the device.
    pub(crate) device: String,
    /// The name of the driver, such as `radv`.
    pub(crate) driver: String,
    /// Its version in the driver's own words, such as `Mesa 22.3.6`.
    pub(crate) version: String,
    /// The smallest and the largest size of a subgroup.
    pub(crate) subgroups: (u32, u32),
    /// Whether the driver checks the bounds of buffers (`robustBufferAccess2`), so that wgpu leaves these checks to it.
    pub(crate) robust_buffers: bool,
    /// Whether `f16` is supported in shaders and in buffers.
    pub(crate) f16: bool,
}

/// What a binding of descriptor set 0 holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Buffer {
    Uniform,
    Storage,
}

/// One of the programs that a driver made of a pipeline: some compile a pipeline for several sizes of subgroup.
#[derive(Debug, Clone)]
pub(crate) struct Executable {
    pub(crate) name: String,
    /// The size of its subgroups, or zero if the driver does not report it.
    pub(crate) subgroup: u32,
    /// In the driver's order.
    pub(crate) statistics: Vec<Statistic>,
}

impl Executable {
    /// Returns the value of the statistic called `name`, if the driver reports one.
    pub(crate) fn statistic(&self, name: &str) -> Option<Value> {
        let mut all = self.statistics.iter();
        all.find(|statistic| statistic.name == name)
            .map(|statistic| statistic.value)
    }
}

/// A figure that a driver reports of a program.
#[derive(Debug, Clone)]
pub(crate) struct Statistic {
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// A figure, of the type that the driver gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
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

/// What went wrong: the name of the call and the driver's answer.
pub(crate) type Error = String;

fn failed(call: &'static str) -> impl Fn(vk::Result) -> Error {
    move |error| format!("{call}: {error}")
}

impl Compiler {
    /// Opens the first device of the driver that the environment selects.
    ///
    /// Enables what wgpu enables where the device has it: bounds checks of buffers, `f16`, and subgroups of varying size.
    ///
    /// # Errors
    /// If there is no Vulkan loader, no driver, no device, or if the device lacks Vulkan 1.3 or
    /// `VK_KHR_pipeline_executable_properties`.
    pub(crate) fn open() -> Result<Self, Error> {
        // SAFETY: the library is Vulkan's loader, whose initialisers have no requirements; it is kept in `_entry` for as long
        // as its functions are used.
        let entry = unsafe { ash::Entry::load() }
            .map_err(|error| format!("Vulkan's loader (libvulkan) could not be loaded: {error}"))?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        let create = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: `create` and what it points to live through the call.
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
                // SAFETY: nothing made by the instance is left.
                unsafe { instance.destroy_instance(None) };
                Err(error)
            }
        }
    }

    fn first_device(instance: &ash::Instance) -> Result<(About, ash::Device), Error> {
        // SAFETY: the instance is valid.
        let devices = unsafe { instance.enumerate_physical_devices() }
            .map_err(failed("vkEnumeratePhysicalDevices"))?;
        let physical = *devices.first().ok_or("the driver lists no device")?;

        let mut driver = vk::PhysicalDeviceDriverProperties::default();
        let mut sizes = vk::PhysicalDeviceSubgroupSizeControlProperties::default();
        let mut properties = vk::PhysicalDeviceProperties2::default()
            .push_next(&mut driver)
            .push_next(&mut sizes);
        // SAFETY: the device is the instance's. The structures chained here are of Vulkan 1.3 or known to the loader; a
        // driver that is older skips what it does not know.
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
        // SAFETY: as above; the structure of an extension is there only if the device has that extension.
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
        // Every device of Vulkan 1.3 has this one.
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
        // SAFETY: what `create` points to lives through the call. Every extension and feature that it names was reported by
        // the device, and every device has a queue family 0.
        let device = unsafe { instance.create_device(physical, &create, None) }
            .map_err(failed("vkCreateDevice"))?;
        Ok((about, device))
    }

    /// Describes the device.
    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    /// Compiles the compute shader `entry` of a SPIR-V module, whose buffers are at the given bindings of descriptor set 0,
    /// and returns what the driver made of it.
    ///
    /// The module must be valid and need no more than `about` reports: Vulkan leaves it open what a driver does with others.
    ///
    /// # Errors
    /// If the driver refuses the module, or reports no program for it.
    pub(crate) fn compile(
        &self,
        words: &[u32],
        entry: &str,
        bindings: &[(u32, Buffer)],
    ) -> Result<Vec<Executable>, Error> {
        let entry = CString::new(entry).map_err(|error| error.to_string())?;
        let mut made = Made::new(&self.device);
        let pipeline = made.pipeline(words, &entry, bindings)?;

        let info = vk::PipelineInfoKHR::default().pipeline(pipeline);
        // SAFETY: the extension and its feature are enabled, and the pipeline is the device's.
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
                // SAFETY: as above; the pipeline was made with `CAPTURE_STATISTICS`, and has an executable of this index.
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
        // SAFETY: `compile` destroys all that it makes, and no thread uses the device any more.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}

/// What it takes to make a pipeline, and the pipeline, destroyed together.
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
        // SAFETY: the caller of `compile` answers for the words.
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
        // SAFETY: as above; the set's layout was made just now.
        self.layout = unsafe { self.device.create_pipeline_layout(&layout, None) }
            .map_err(failed("vkCreatePipelineLayout"))?;

        let stage = vk::PipelineShaderStageCreateInfo::default()
            // As wgpu does on a device with subgroups; the feature is enabled.
            .flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE)
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(self.module)
            .name(entry);
        let create = vk::ComputePipelineCreateInfo::default()
            .flags(vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR)
            .stage(stage)
            .layout(self.layout);
        // SAFETY: the module and the layout are the device's and live through the call, as do the structures.
        let pipelines = unsafe {
            let none = vk::PipelineCache::null();
            self.device.create_compute_pipelines(none, &[create], None)
        };
        let pipelines = pipelines
            .map_err(|(_, error)| error)
            .map_err(failed("vkCreateComputePipelines"))?;
        // One was asked for.
        self.pipeline = pipelines[0];
        Ok(self.pipeline)
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        // SAFETY: each was made by this device or is null, which these functions ignore; nothing was dispatched that could
        // still use them.
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
    // SAFETY: `format` says which field of the union the driver has written.
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

/// Returns a fixed-size string of Vulkan as text; one without an end is empty.
fn text<E>(chars: Result<&CStr, E>) -> String {
    chars.map_or_else(
        |_| String::new(),
        |chars| chars.to_string_lossy().into_owned(),
    )
}
